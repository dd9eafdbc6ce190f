/** wsidicomizer in a virtual environment of its own: it needs an older wsidicom than the one that reads our results. */
import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Peer, peer, repository } from './peers.ts';

const PYTHON = process.env.STAIN_CONVERTER ?? join(repository, '.venv-converter/bin/python');
/** Its TIFF library loads libjpeg-turbo only on first use. */
const LOOK = 'import wsidicomizer; from opentile.jpeg.jpeg import find_turbojpeg_path as look; look()';

export const converter: Peer = peer(
  'Python with test/interop/requirements-converter.txt and libturbojpeg',
  isThere(),
);

function isThere(): boolean {
  try {
    execFileSync(PYTHON, ['-c', LOOK], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** One folder of DICOM files for each way in which the converter writes frames, and the slide that it converted. */
export async function convertSlide(sampleLevel: string, folder: string): Promise<void> {
  await promisify(execFile)(PYTHON, [join(repository, 'test/interop/convert_slide.py'), sampleLevel, folder]);
}
