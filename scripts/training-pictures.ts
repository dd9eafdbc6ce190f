/** The pictures to train on: those of a folder, or windows of tissue from whole-slide series. */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StainError, toStainError } from '../core/src/errors.ts';
import { WHITE } from '../core/src/image/raster.ts';
import { isPicture } from '../server/src/cli/image-commands.ts';
import { describeLeftOut } from '../server/src/cli/left-out-files.ts';
import { writeImage } from '../server/src/codec/image-file.ts';
import { loadConfig } from '../server/src/config.ts';
import { isOurs } from '../server/src/derived/equipment.ts';
import { textOf } from '../server/src/dicom/json-model.ts';
import { openSeries } from '../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../server/src/pipeline/progress.ts';
import { richestWindows } from '../server/src/pipeline/sample-windows.ts';
import type { SeriesReference } from '../server/src/pipeline/series-reference.ts';
import { surveyTissue } from '../server/src/pipeline/survey.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { type Composition, compose } from '../server/src/wiring/composition.ts';

/** Training pictures: their side in pixels, and their number per slide. */
const WINDOWS = { halo: 0, alignment: 4, coreSize: 512 };
const PICTURES_PER_SLIDE = 16;

/** Folder of an attempt that was interrupted while it wrote pictures. */
export const UNFINISHED_PICTURES = 'pictures.part';

export interface PictureSource {
  /** A DICOMweb URL, a folder of DICOM files, or a folder with one folder of pictures per laboratory. */
  readonly location: string;
  /** Only the slides of this study. */
  readonly study: string | undefined;
}

/**
 * A folder with one folder of pictures per source. Slides come first: a picture among them, such as a macro, is no
 * reason to train on it alone. Windows of slides go into `out`, once: a training that goes on needs the same ones.
 * @throws SERIES_NOT_FOUND if there is nothing to learn from, and whatever opening the source refuses
 */
export async function trainingPictures(
  source: PictureSource,
  out: string,
  signal: AbortSignal,
): Promise<string> {
  const pictures = join(out, 'pictures');
  if (await exists(pictures)) return pictures;
  await using composition = compose(loadConfig({ env: process.env }));
  const part = join(out, UNFINISHED_PICTURES);
  await rm(part, { recursive: true, force: true });
  const { series, written } = await writePictures(source, part, composition, signal);
  if (written > 0) {
    await rename(part, pictures);
    return pictures;
  }
  if (series === 0 && (await holdsFoldersOfPictures(source.location))) return resolve(source.location);
  throw new StainError(
    'SERIES_NOT_FOUND',
    `"${source.location}" holds neither whole-slide series to learn from nor folders of pictures, one for each laboratory.`,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function holdsFoldersOfPictures(folder: string): Promise<boolean> {
  if (/^https?:/i.test(folder)) return false;
  for (const entry of await readdir(folder, { withFileTypes: true }))
    if (entry.isDirectory() && !isHidden(entry.name) && (await holdsPictures(join(folder, entry.name))))
      return true;
  return false;
}

async function holdsPictures(folder: string): Promise<boolean> {
  return (await readdir(folder)).some((name) => isPicture(name) && !isHidden(name));
}

/** As `read_sources` of dcgmm/sources.py sees it. */
function isHidden(name: string): boolean {
  return name.startsWith('.');
}

/** Windows of tissue of every whole-slide series, as pictures: one folder per series. */
async function writePictures(
  { location, study }: PictureSource,
  folder: string,
  composition: Composition,
  signal: AbortSignal,
): Promise<{ series: number; written: number }> {
  await using archive = await openArchiveLocation(location, composition.config, { create: false });
  const wanted = { Modality: 'SM', ...(study ? { StudyInstanceUID: study } : {}) };
  const found = await archive.client.searchSeries(wanted, signal);
  if (found.length === 0) return { series: 0, written: 0 };
  process.stderr.write(describeLeftOut(archive.leftOut, { names: true }));
  console.log(`${found.length} whole-slide series in ${archive.name}`);
  const access = composition.environment({ source: archive.client, destination: archive.client });
  let written = 0;
  for (const [at, json] of found.entries()) {
    const series: SeriesReference = {
      studyInstanceUid: textOf(json, '0020000D') ?? study ?? '',
      seriesInstanceUid: textOf(json, '0020000E') ?? '',
    };
    try {
      await using open = await openSeries(series, access, new ProgressTracker(() => {}), signal);
      // Their colours are those of a template.
      if (isOurs(open.slide.levels[0]!.instances[0]!.dataset))
        throw new StainError('ALREADY_NORMALIZED', 'The series was made by this product.');
      const base = open.base(WHITE);
      const survey = await surveyTissue(base, open.overviews(WHITE), WINDOWS, signal);
      const samples = richestWindows(survey.windows, PICTURES_PER_SLIDE);
      // UIDs of slides may be traced to patients: folders are numbered.
      const place = join(folder, `slide-${String(at + 1).padStart(4, '0')}`);
      await mkdir(place, { recursive: true });
      for (const [i, { window }] of samples.entries())
        await writeImage(join(place, `${String(i).padStart(3, '0')}.png`), await base.read(window, signal));
      written += samples.length;
      console.log(`  ${at + 1} of ${found.length}: ${samples.length} pictures`);
    } catch (error) {
      signal.throwIfAborted();
      console.log(`  ${at + 1} of ${found.length} left out: ${toStainError(error).code}`);
    }
  }
  return { series: found.length, written };
}
