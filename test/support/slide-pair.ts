/** Two constructed slides of the same size in one series, as some converters leave them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blankRaster, type Raster } from '../../core/src/image/raster.ts';
import { encodeFrame } from '../../server/src/codec/encode-frame.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { makeSlideInstance, testUid } from './make-slide.ts';
import { halved, tilesOf } from './tiles.ts';
import { tissue } from './tissue.ts';

const TILE = 128;
const SIDE = 2 * TILE;

export type SlideName = 'A' | 'B';

export const PAIR = { studyInstanceUid: testUid('pair-study'), seriesInstanceUid: testUid('pair-series') };

/** Attributes that belong to one slide only. */
export function own(slide: SlideName) {
  return {
    container: `container ${slide}`,
    frameOfReference: testUid(`frame of ${slide}`),
    specimen: testUid(`specimen of ${slide}`),
  };
}

/** SOP Instance UIDs of the base level, the coarser level and the thumbnail. */
export function imagesOf(slide: SlideName): [string, string, string] {
  return [0, 1, 2].map((image) => testUid(`${slide} image ${image}`)) as [string, string, string];
}

/** Writes the images of these slides into a folder, which may contain others. */
export async function writeSlides(folder: string, ...slides: SlideName[]): Promise<void> {
  for (const slide of slides)
    await writeSlide(
      folder,
      slide,
      tissue(SIDE, SIDE, slide === 'A' ? { seed: 1 } : { seed: 2, strength: 0.7 }),
    );
}

/** One without tissue. */
export function writeGlass(folder: string, slide: SlideName): Promise<void> {
  return writeSlide(folder, slide, blankRaster(SIDE, SIDE, [240, 240, 240]));
}

async function writeSlide(folder: string, slide: SlideName, whole: Raster): Promise<void> {
  const levels = [whole, halved(whole), halved(halved(whole))];
  for (const [image, pixels] of levels.entries())
    await writeFile(join(folder, `${slide}${image}.dcm`), await instance(slide, image, pixels));
}

async function instance(slide: SlideName, image: number, pixels: Raster): Promise<Uint8Array> {
  const side = Math.min(TILE, pixels.width);
  const encode = { rows: side, columns: side, encoding: 'jpeg', quality: 90 } as const;
  const frames: Uint8Array[] = [];
  for (const tile of tilesOf(pixels, side)) frames.push(await encodeFrame(tile, encode));
  const { container, frameOfReference, specimen } = own(slide);
  return makeSlideInstance({
    slide: 'pair',
    rows: side,
    columns: side,
    totalRows: pixels.height,
    totalColumns: pixels.width,
    frames,
    pixelSpacing: 0.0005 * 2 ** image,
    imageType: [
      'ORIGINAL',
      'PRIMARY',
      image === 2 ? 'THUMBNAIL' : 'VOLUME',
      image === 0 ? 'NONE' : 'RESAMPLED',
    ],
    overrides: {
      SOPInstanceUID: imagesOf(slide)[image]!,
      ContainerIdentifier: container,
      FrameOfReferenceUID: frameOfReference,
      SpecimenDescriptionSequence: [
        DataSet.of({
          SpecimenIdentifier: slide,
          SpecimenUID: specimen,
          IssuerOfTheSpecimenIdentifierSequence: [],
          SpecimenPreparationSequence: [],
        }),
      ],
    },
  });
}
