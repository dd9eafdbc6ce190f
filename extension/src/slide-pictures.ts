/** The slide under each template, in pictures of the same pixels, to choose by looking. */
import { DEFAULT_MODEL } from '../../core/src/contract/default-model.ts';
import type { TransferName } from '../../core/src/stain/transfer-name.ts';
import type { Region } from './microscopy/choose-region.ts';
import { sourceOf } from './service/archive-names.ts';
import type { ServiceClient } from './service/service-client.ts';
import type { SlideSeries } from './state.ts';

/** Longer side in pixels: a picture is shown at a third of the panel's width, on dense screens too. */
const SIZE = 320;
/** Class by class, pictures are made where the network was trained, of so many pixels of the base level at most. */
const PAPER_SIZE = 1024;
/** The service computes them one after the other for each user. */
const AT_ONCE = 2;

export interface PicturesWanted {
  readonly source: SlideSeries;
  readonly region: Region;
  readonly transfer: TransferName;
  /** Identifiers. */
  readonly templates: readonly string[];
}

/**
 * Asks for the pictures one by one, and hands each on when it is there.
 * @param onPicture a data URL
 * @throws what the service answers to the first that fails; the signal's reason
 */
export async function slidePictures(
  { source, region, transfer, templates }: PicturesWanted,
  client: Pick<ServiceClient, 'preview'>,
  signal: AbortSignal,
  onPicture: (template: string, url: string) => void,
): Promise<void> {
  const { studyInstanceUid, seriesInstanceUid } = source;
  const waiting = [...templates];
  const next = async (): Promise<void> => {
    for (let template = waiting.shift(); template !== undefined; template = waiting.shift()) {
      const slide = { studyInstanceUid, seriesInstanceUid, ...sourceOf(source) };
      const wanted = { ...slide, template, model: DEFAULT_MODEL, transfer };
      const url = await client.preview({ ...wanted, region, size: SIZE }, signal);
      signal.throwIfAborted();
      onPicture(template, url);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

/**
 * What the pictures show: all of the slide, or what is in view. Class by class a coarse level is not what a job makes of it
 * (the average of its normalised base level), so that the middle of the view is shown, at full resolution.
 * @param view undefined for all of the slide
 */
export function pictureRegion(
  { totalColumns, totalRows }: Pick<SlideSeries, 'totalColumns' | 'totalRows'>,
  transfer: TransferName,
  view: Region | undefined,
): Region {
  const region = view ?? { x: 0, y: 0, width: totalColumns, height: totalRows };
  if (transfer === 'linear') return region;
  const [width, height] = [Math.min(region.width, PAPER_SIZE), Math.min(region.height, PAPER_SIZE)];
  return {
    x: region.x + Math.floor((region.width - width) / 2),
    y: region.y + Math.floor((region.height - height) / 2),
    width,
    height,
  };
}
