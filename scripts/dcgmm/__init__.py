"""Deep convolutional Gaussian mixture model for stain normalisation: training, export, reference, vectors.

Method: Zanjani et al., MIDL 2018 and MICCAI 2018. Own code, written from the papers; Apache-2.0.
"""

import os

# ONNX Runtime 1.29 and later sends events about models and machine to Microsoft unless this is set before it is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
