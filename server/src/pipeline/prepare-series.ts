/**
 * Determines a derived series before any of its frames is made: the fit, the glass, the levels that must be built, and
 * what the header says about the device. The result is kept as soon as it is known, so that everybody who makes the
 * series, or one of its frames, makes the same.
 */
import { isDeepStrictEqual } from 'node:util';
import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import { WHITE } from '../../../core/src/image/raster.ts';
import { noteText } from '../../../core/src/notes.ts';
import type { Glass } from '../../../core/src/stain/optical-density.ts';
import { makeTransfer, type Transfer } from '../../../core/src/stain/transfer.ts';
import { type ColourMap, colourMap } from '../codec/colour-map.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import { derivedUids } from '../derived/derived-uids.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { Level } from '../slide/types.ts';
import type { GlassTiles } from './build-levels.ts';
import { type DerivationFacts, isRepeatable } from './derivations.ts';
import type { NormalizationEnvironment } from './environment.ts';
import { type Fit, fitStain } from './fit.ts';
import { type FoundGlass, findGlassTiles } from './glass-tiles.ts';
import { imagesOf } from './inspect-series.ts';
import { disagreeingLevels } from './level-agreement.ts';
import { estimateRatios } from './lossy-ratio.ts';
import type { Means } from './means.ts';
import { overrideNotes, requireHe } from './require-he.ts';
import type { SeriesIdentity } from './series-identity.ts';
import type { SlidePixels } from './slide-pixels.ts';
import { freeSeriesNumber, storedUids } from './store-series.ts';

export interface PreparedSeries {
  readonly open: SlidePixels;
  /** The base level first, then the others, finest first; the thumbnail last. */
  readonly images: readonly Level[];
  readonly facts: DerivationFacts;
  readonly transfer: Transfer;
  /** For `linear`: the mapping of colours. */
  readonly colours: ColourMap | undefined;
  readonly glass: GlassTiles | undefined;
  /** Images made from the base level; every other image is its own source. */
  readonly built: ReadonlySet<Level>;
  readonly encode: Pick<EncodeOptions, 'encoding' | 'quality'>;
  /** A note, if a slide that is not H&E is normalised because the request asks for that. */
  readonly override: string | undefined;
  readonly notes: readonly string[];
}

export interface PrepareOptions {
  readonly signal: AbortSignal;
  /** The fit of an earlier attempt. */
  readonly fit?: Fit | undefined;
  readonly onFitProgress?: (done: number, total: number) => void;
  /** The fit is known, and the slide may be normalised. */
  readonly onFit?: (fit: Fit) => Promise<void>;
}

/** Another process may store its fit first, but only once. */
const MAX_ROUNDS = 3;

/** @throws STAIN_NOT_HE, TOO_LITTLE_TISSUE, SERIES_UNREPEATABLE and whatever is wrong with the frames that are read */
export async function prepareSeries(
  open: SlidePixels,
  request: NormalizationRequest,
  identity: SeriesIdentity,
  { template, network }: Means,
  environment: Pick<
    NormalizationEnvironment,
    'codecs' | 'derivations' | 'destination' | 'deviceSerialNumber'
  >,
  options: PrepareOptions,
): Promise<PreparedSeries> {
  const { onFit = async () => {} } = options;
  const { slide, colour } = open;
  const { derivations, destination } = environment;
  const images = imagesOf(slide);
  using _ = open.holdSmallLevels();
  // The search for glass goes on beside the fit: it ends with this function, however that ends.
  using work = withinScope(options.signal);
  const { signal } = work;
  const encode = { encoding: request.encoding, quality: request.quality };
  let search: { readonly glass: Glass; readonly found: Promise<FoundGlass> } | undefined;
  const searchGlass = (glass: Glass): Promise<FoundGlass> => {
    if (!isDeepStrictEqual(search?.glass, glass)) {
      const found = findGlassTiles(open, glass, encode, environment.codecs, signal);
      // Reported where it is awaited, if it is.
      found.catch(() => {});
      search = { glass, found };
    }
    return search!.found;
  };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const begun = await factsOf(identity, request, network, environment, signal);
    const fit =
      begun?.fit ??
      options.fit ??
      (await fitStain(open.base(WHITE), open.overviews(WHITE), network, {
        signal,
        onGlass: (glass) => void searchGlass(glass),
        ...(options.onFitProgress && { onProgress: options.onFitProgress }),
      }));
    requireHe(fit, request);
    await onFit(fit);
    const transfer = makeTransfer(request.transfer, fit, template, network.model.classNames);
    const glass = await searchGlass(fit.glass);
    const isLinear = transfer.name === 'linear';
    const colours = isLinear ? colourMap(colour.table, transfer.tables) : undefined;
    const isEstimated = colours && encode.encoding === 'jpeg' && !begun;
    // The first keeps the codecs busy, the second this thread.
    const [built, lossyRatios] = await Promise.all([
      isLinear
        ? disagreeingLevels(open, images, transfer, glass.tiles?.map, signal)
        : new Set(images.slice(1)),
      isEstimated ? estimateRatios({ open, colours, glass: glass.tiles, encode }, images, signal) : undefined,
    ]);
    const facts =
      begun ??
      (await derivations.keep(identity, {
        fit,
        images: images.length,
        executionProvider: network.executionProvider,
        deviceSerialNumber: environment.deviceSerialNumber,
        seriesNumber: await derivations.seriesNumber(
          identity,
          slide.studyInstanceUid,
          await freeSeriesNumber(destination, slide.studyInstanceUid, derivedUids(identity).series, signal),
        ),
        ...(lossyRatios && { lossyRatios }),
      }));
    // Another process was faster and stored a different fit: that one counts.
    if (!isDeepStrictEqual(facts.fit, fit)) continue;
    const override = overrideNotes(slide, fit, request);
    return {
      open,
      images,
      facts,
      transfer,
      colours,
      glass: glass.tiles,
      built,
      encode,
      override: override[0],
      notes: [
        ...slide.notes,
        ...override,
        ...fit.notes,
        ...transfer.notes,
        ...colour.notes,
        ...glass.notes,
        ...(isLinear ? [...built].map(builtNote) : []),
      ],
    };
  }
  throw new StainError('INTERNAL', 'The stored fit of the series is not the one that was written.');
}

/** A signal that also fires when it is disposed of. */
function withinScope(signal: AbortSignal): { readonly signal: AbortSignal } & Disposable {
  const left = new AbortController();
  return {
    signal: AbortSignal.any([signal, left.signal]),
    [Symbol.dispose]: () => left.abort(),
  };
}

function builtNote({ totalColumns, totalRows }: Level): string {
  return noteText('LEVEL_MADE_OF_BASE', { columns: totalColumns, rows: totalRows });
}

/**
 * What is known about a series that was begun.
 * @throws SERIES_UNREPEATABLE if this device would make other pixels than those already stored
 */
async function factsOf(
  identity: SeriesIdentity,
  request: NormalizationRequest,
  { executionProvider }: StainNetwork,
  { derivations, destination }: Pick<NormalizationEnvironment, 'derivations' | 'destination'>,
  signal: AbortSignal,
): Promise<DerivationFacts | undefined> {
  const facts = await derivations.find(identity);
  if (facts === undefined || isRepeatable(request, facts, executionProvider)) return facts;
  const { studyInstanceUid } = request;
  const { series: seriesInstanceUid } = derivedUids(identity);
  const stored = await storedUids({ studyInstanceUid, seriesInstanceUid }, destination, signal);
  if (stored.size === 0) {
    await derivations.forget(identity);
    return undefined;
  }
  await derivations.giveUp(identity);
  throw new StainError(
    'SERIES_UNREPEATABLE',
    `The series was begun on ${facts.executionProvider}; ${executionProvider} would complete it with different pixels.`,
  );
}
