#!/usr/bin/env bash
# Makes the shipped templates again, for the current model. Run it after every export of new weights.
#   scripts/make-templates.sh FOLDER    FOLDER holds the training images, one folder per source (scripts/README.md)
set -euo pipefail
if [ "${1:---help}" = --help ]; then sed -n '2,3s/^# *//p' "$0"; exit; fi
images=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
export STAIN_TEMPLATES_DIRECTORY=models/onnx/templates STAIN_DEVICE=cpu

add() { npm run --silent cli -- template add "$@" --model reference --replace; }

add he-pink-violet "$images"/ocdc_rbswap/1009009_*.png \
  --name 'Soft pink and violet' --licence 'CC BY 4.0' \
  --description 'Pale pink stroma, violet nuclei; oral mucosa, scanner. Mean of ten fields of one slide.' \
  --provenance 'OCDC, oral cavity-derived cancer (dos Santos et al.), Mendeley Data 9bsc36jyrt: ten fields of 1009009; red and blue put back in place'

add he-magenta "$images"/osteosarcoma_utsw/Viable___Case-4-*.jpg \
  --name 'Deep magenta' --licence 'CC BY 3.0' \
  --description 'Strong magenta, dark nuclei; bone tumour, scanner at 10x. Mean of six fields of five slides.' \
  --provenance 'Osteosarcoma-Tumor-Assessment (Leavey et al. 2019), The Cancer Imaging Archive: the Viable fields of Case-4'

add he-violet "$images"/brecahad/*.jpg \
  --name 'Cool violet' --licence 'CC BY 4.0' \
  --description 'Bluish violet throughout, rose stroma; breast. Mean of 30 pictures.' \
  --provenance 'BreCaHAD (Aksac et al. 2019), figshare 7379186: 10011 to 10040'
