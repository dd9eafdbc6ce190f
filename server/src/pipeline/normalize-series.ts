/**
 * The use case: reads a series over DICOMweb and stores the normalised series in the same study.
 * Open, fetch, fit, normalise every level in one pass, store the base level last, verify.
 */
import { isDeepStrictEqual } from 'node:util';
import type {
  NormalizationRequest,
  NormalizationResult,
  Progress,
  StoredPart,
} from '../../../core/src/contract/index.ts';
import { outputSyntax } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { toStainError } from '../../../core/src/errors.ts';
import { noteOf } from '../../../core/src/notes.ts';
import { colourDistance } from '../../../core/src/stain/colour-distance.ts';
import type { Stain } from '../../../core/src/stain/stain.ts';
import { derivedUids } from '../derived/derived-uids.ts';
import { EncapsulatedInstance } from '../derived/encapsulated-instance.ts';
import { isOurs } from '../derived/equipment.ts';
import type { StainNetwork } from '../inference/network.ts';
import { lacksBase } from '../slide/describe.ts';
import { type JobSpool, openJobSpool, requireCapacity } from '../spool/spool.ts';
import { type AnnouncedSlide, announcementOf } from './announced-slide.ts';
import { Checkpoint } from './checkpoint.ts';
import { derivedHeaders, type SourceImages, sourceImageOf } from './derived-headers.ts';
import type { NormalizationEnvironment } from './environment.ts';
import { imagesOf, inspectSeries } from './inspect-series.ts';
import { type MadeLevels, type MakeOptions, makeLevels } from './make-levels.ts';
import { mapLevels } from './map-levels.ts';
import { fingerprintOf, type Means, resolveMeans, type SourceFingerprint, sourceOf } from './means.ts';
import { jobRoom, NOTHING, resultRoom } from './needed-room.ts';
import { openSeries } from './open-series.ts';
import { type PreparedSeries, prepareSeries } from './prepare-series.ts';
import { ProgressTracker } from './progress.ts';
import { requireDeclaredHe } from './require-he.ts';
import type { SeriesIdentity } from './series-identity.ts';
import { type Fingerprint, PIPELINE_VERSION, requirePinned, sha256 } from './series-identity.ts';
import { type DerivedSeries, storeSeries } from './store-series.ts';

export interface NormalizationOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  /** The work could now resume from here after a crash. */
  readonly onCheckpoint?: () => void;
  /** The archive has accepted another instance of the result; awaited before the next is sent. */
  readonly onStored?: (stored: StoredPart) => Promise<void>;
  /** From `inspectRequest` a moment ago; if undefined, the archive's metadata are read again. */
  readonly announced?: AnnouncedSlide | undefined;
  /** Refuses what a running process is making, instead of taking it over. */
  readonly onlyIdle?: boolean | undefined;
}

/**
 * Resolves what a request refers to now, and refuses whatever can be refused from metadata alone. Cheap: an API calls
 * it before it queues a job.
 * @throws STAIN_NOT_HE because of the header, SPOOL_TOO_SMALL, TEMPLATE_NOT_FOUND, MODEL_INVALID and whatever
 * `inspectSeries` throws
 */
export async function inspectRequest(
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
  signal: AbortSignal,
): Promise<
  Fingerprint & { readonly slide: AnnouncedSlide; readonly isResult: boolean; readonly lacksBase: boolean }
> {
  const means = await resolveMeans(request, environment);
  const slide = await inspectSeries(request, environment, signal);
  requireDeclaredHe(slide, request);
  const announced = announcementOf(slide);
  await requireCapacity(environment.spool, jobRoom(imagesOf(announced), request).minimum);
  return {
    ...fingerprintOf(announced.source, means, environment),
    slide: announced,
    isResult: isOurs(slide.levels[0]!.instances[0]!.dataset),
    lacksBase: lacksBase(slide),
  };
}

/**
 * Resumes from what an earlier attempt with the same identity left in the spool, and makes the same bytes. What it
 * leaves there itself stays until `removeJobSpool`, or until an older job needs the room.
 * @throws SERIES_IN_PROGRESS for `onlyIdle`, and reasons why the slide cannot be normalised or stored
 */
export async function normalizeSeries(
  request: NormalizationRequest,
  identity: SeriesIdentity,
  environment: NormalizationEnvironment,
  options: NormalizationOptions,
): Promise<NormalizationResult> {
  const spool = await openJobSpool(environment.spool, identity, options);
  try {
    const result = await normalizeIn(spool, request, identity, environment, options);
    await spool.putDown('resting');
    return result;
  } catch (error) {
    const isInterrupted = options.signal.aborted || toStainError(error).code === 'SPOOL_FULL';
    await spool.putDown(isInterrupted ? 'waiting' : 'resting');
    throw error;
  }
}

async function normalizeIn(
  spool: JobSpool,
  request: NormalizationRequest,
  identity: SeriesIdentity,
  environment: NormalizationEnvironment,
  { signal, onProgress, onCheckpoint = () => {}, onStored = async () => {}, announced }: NormalizationOptions,
): Promise<NormalizationResult> {
  const started = performance.now();
  const progress = new ProgressTracker(onProgress);
  progress.report('open', 0, 1, 'instances');
  // A job that was refused room does not query the archive again until it has that room.
  await spool.regain();
  const means = await resolveMeans(request, environment);
  const { template, network } = means;
  // A pinned request says which slide it means, whatever happened to the other slides of the series.
  const fingerprintFor = (source: SourceFingerprint): Fingerprint => {
    const { sourceSha256, slide: slideUid } = request;
    const meant = sourceSha256 === undefined ? source : { sourceSha256, slideUid };
    return fingerprintOf(meant, means, environment);
  };
  const key = workKey(request, identity, means, environment);
  const checkpoint = await Checkpoint.open(spool, key, onCheckpoint);
  await using open = await openSeries(request, environment, progress, signal, {
    spool,
    checkpoint,
    announced,
    onAnnounced: ({ source }) => requirePinned(request, source, fingerprintFor(source)),
    roomFor: (slide) =>
      checkpoint.reached.levels?.isComplete ? NOTHING : resultRoom(imagesOf(slide), request),
  });
  const { slide } = open;
  // The metadata from the archive may lack what the instances say.
  requireDeclaredHe(slide, request);
  const prepared = await prepareSeries(open, request, identity, means, environment, {
    signal,
    fit: checkpoint.reached.fit,
    onFitProgress: (done, total) => progress.report('fit', done, total, 'tiles'),
    async onFit(fit) {
      // Save only what is new: a checkpoint means that the job has made progress.
      if (!isDeepStrictEqual(checkpoint.reached.fit, fit)) await checkpoint.save({ fit });
    },
  });
  await using levels = await makeFrames(prepared, network, checkpoint, {
    codecs: environment.codecs,
    spool,
    signal,
    concurrency: environment.encodeConcurrency,
    checkpointSeconds: environment.checkpointSeconds,
    onProgress: (done, total) => progress.report('normalize', done, total, 'pixels'),
  });

  const fingerprint = fingerprintFor(sourceOf(slide));
  const work = { request, identity, fingerprint, means };
  const header = await derivedHeaders(prepared, work, environment.softwareVersions);
  const instances = levels.spools.map(
    (frames, image) =>
      new EncapsulatedInstance({
        dataset: header(image, frames.totalBytes),
        transferSyntaxUid: outputSyntax(request.encoding),
        spool: frames,
      }),
  );
  await storeSeries(
    instances,
    environment.destination,
    environment.limits.maxInstanceBytes,
    progress,
    onStored,
    signal,
  );

  return {
    ...summaryOf(prepared, instances, template),
    studyInstanceUid: slide.studyInstanceUid,
    seriesInstanceUid: derivedUids(identity).series,
    sourceSeriesInstanceUid: slide.seriesInstanceUid,
    sourceSlide: fingerprint.slideUid,
    revision: identity.revision,
    supersedes: identity.supersedes,
    template: template.id,
    templateSha256: template.sha256,
    model: { name: network.model.name, version: network.model.version, sha256: network.model.sha256 },
    transfer: request.transfer,
    executionProvider: network.executionProvider,
    colourPolicy: open.colour.policy,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Makes the encoded frames of every image with the requested transfer. */
function makeFrames(
  { open, images, facts, transfer, colours, glass, built, encode }: PreparedSeries,
  network: StainNetwork,
  checkpoint: Checkpoint,
  options: Omit<MakeOptions, 'encoding' | 'quality' | 'glass' | 'padding'>,
): Promise<MadeLevels> {
  const absent = facts.fit.glass.colour;
  const making: MakeOptions = { ...options, ...encode, glass, padding: absent };
  if (transfer.name === 'paper')
    return makeLevels(open.base(absent), images, network, transfer, checkpoint, making);
  const means = { open, colours: colours!, glass, encode };
  return mapLevels(means, images, built, network, transfer, checkpoint, making);
}

/** What a result reports about its images, its fit and its quality. */
function summaryOf(
  { images, facts: { fit }, notes, transfer }: PreparedSeries,
  instances: readonly EncapsulatedInstance[],
  template: Stain,
): Pick<
  NormalizationResult,
  'instances' | 'fit' | 'outOfDistribution' | 'colourDistance' | 'notes' | 'megapixels'
> {
  const base = images[0]!;
  return {
    instances: images.map((level, i) => ({
      sopInstanceUid: instances[i]!.sopInstanceUid,
      role: level.role,
      totalColumns: level.totalColumns,
      totalRows: level.totalRows,
      frames: level.frames.length,
      bytes: instances[i]!.byteLength,
      source: level.instances[0]!.sopInstanceUid,
    })),
    fit: { sampledTiles: fit.sampledTiles, tissueFraction: fit.tissueFraction, classes: fit.classes },
    outOfDistribution: fit.outOfDistribution,
    colourDistance: colourDistance(fit, template, transfer),
    notes: notes.map(noteOf),
    megapixels: (base.totalColumns * base.totalRows) / 1e6,
  };
}

/** The series that the result will form. */
export function derivedSeriesOf(slide: SourceImages, identity: SeriesIdentity): DerivedSeries {
  const uids = derivedUids(identity);
  return {
    studyInstanceUid: slide.studyInstanceUid,
    seriesInstanceUid: uids.series,
    // A damaged thumbnail is left out.
    instances: slide.levels.map((level) => ({ sopInstanceUid: uids.instance(sourceImageOf(level)) })),
  };
}

/** SHA-256 of everything that determines the pixels of the result, except the device. */
function workKey(
  request: NormalizationRequest,
  { seriesUuid }: SeriesIdentity,
  { template, network }: Means,
  { softwareVersions }: NormalizationEnvironment,
): string {
  const versions = [template.sha256, network.model.sha256, softwareVersions];
  const parts = [PIPELINE_VERSION, request, seriesUuid, ...versions];
  return sha256(parts);
}
