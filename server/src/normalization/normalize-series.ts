/**
 * The use case: a series goes in over DICOMweb and a normalised one goes back into the same study.
 * Open, fetch, fit, normalise every level in one pass, store base last, verify.
 */
import { srgbProfile } from '../codec/icc.ts';
import { type DerivationRecord, deriveLevel } from '../dicom/derived-series.ts';
import { derivedUids } from '../dicom/derived-uids.ts';
import { EncapsulatedInstance } from '../dicom/encapsulated-instance.ts';
import { isOurs } from '../dicom/equipment.ts';
import { inputDeviceProfile } from '../dicom/icc-class.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { StainError, toStainError } from '../errors.ts';
import type { StainNetwork } from '../inference/network.ts';
import { WHITE } from '../slide/raster.ts';
import type { Level, Slide } from '../slide/types.ts';
import { requireTemplateOf, type TemplateVersion } from '../stain/template.ts';
import { makeTransfer } from '../stain/transfer.ts';
import { Checkpoint } from './checkpoint.ts';
import type { DerivationFacts, DerivationRecords } from './derivations.ts';
import { fitStain } from './fit.ts';
import { findGlassTiles } from './glass-tiles.ts';
import { type MakeOptions, makeLevels } from './make-levels.ts';
import { mapLevels } from './map-levels.ts';
import { jobRoom, NOTHING, resultRoom } from './needed-room.ts';
import { imagesOf, inspectSeries, openSeries, type SeriesAccess } from './open-series.ts';
import { ProgressTracker } from './progress.ts';
import { overrideNotes, requireDeclaredHe, requireHe } from './require-he.ts';
import {
  type Fingerprint,
  PIPELINE_VERSION,
  seriesContent,
  sha256,
  slideUid,
  sourceSha256,
} from './series-identity.ts';
import { type JobSpool, openJobSpool, requireCapacity } from './spool.ts';
import { type DerivedSeries, freeSeriesNumber, storedUids, storeSeries } from './store-series.ts';
import { storedRecordOf } from './stored-derivations.ts';
import type { TemplateStore } from './template-store.ts';
import type {
  NormalizationRequest,
  NormalizationResult,
  Progress,
  SeriesIdentity,
  StoredPart,
} from './types.ts';

/** What a normalisation works with; made once by the composition root and shared by all jobs. */
export interface NormalizationEnvironment extends SeriesAccess {
  readonly destination: DicomWebClient;
  readonly network: (model: string) => Promise<StainNetwork>;
  readonly template: TemplateStore['version'];
  readonly derivations: DerivationRecords;
  /** Seconds of work that a crash may cost. */
  readonly checkpointSeconds: number;
  /** Frames in the encoder at once. */
  readonly encodeConcurrency: number;
  /** Application, runtime and encoder with their versions, for Software Versions (0018,1020). */
  readonly softwareVersions: readonly string[];
  readonly deviceSerialNumber: string;
}

export interface NormalizationOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  /** The work could go on from here after a crash. */
  readonly onCheckpoint?: () => void;
  /** The archive has taken another instance of the result; awaited before it is sent the next. */
  readonly onStored?: (stored: StoredPart) => Promise<void>;
}

/**
 * What a request means now. Refuses what can be refused from metadata alone. Cheap: an API calls it before it queues a job.
 * @throws STAIN_NOT_HE by the header, SPOOL_TOO_SMALL, TEMPLATE_NOT_FOUND, MODEL_INVALID and what `inspectSeries` throws
 */
export async function inspectRequest(
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
  signal: AbortSignal,
): Promise<Fingerprint & { readonly slide: Slide; readonly isResult: boolean }> {
  const { template, network } = await resolve(request, environment);
  const slide = await inspectSeries(request, environment, signal);
  requireDeclaredHe(slide, request);
  await requireCapacity(environment.spool, jobRoom(imagesOf(slide), request.encoding).least);
  return {
    ...fingerprintOf(sourceOf(slide), template, network, environment),
    slide,
    isResult: isOurs(slide.levels[0]!.instances[0]!.dataset),
  };
}

/** What a slide is known by. */
type Source = Pick<Fingerprint, 'sourceSha256' | 'slideUid'>;

function sourceOf(slide: Slide): Source {
  return { sourceSha256: sourceSha256(slide), slideUid: slideUid(slide) };
}

function fingerprintOf(
  source: Source,
  template: TemplateVersion,
  { model }: StainNetwork,
  { softwareVersions, onInvalidProfile }: NormalizationEnvironment,
): Fingerprint {
  return {
    ...source,
    templateSha256: template.sha256,
    // The model that will run, not whatever lies on the disk by now.
    modelSha256: model.sha256,
    pipelineSha256: sha256([PIPELINE_VERSION, softwareVersions, onInvalidProfile]),
  };
}

/** The template and the network that a request names, which must belong together. */
async function resolve(
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
): Promise<{ template: TemplateVersion; network: StainNetwork }> {
  const template = await environment.template(request.template, request.templateSha256);
  const network = await environment.network(request.model);
  requireTemplateOf(template, network.model);
  return { template, network };
}

/**
 * Goes on from what an earlier attempt with the same identity has left in the spool, and makes the same bytes. What it
 * leaves there itself stays until `removeJobSpool`, or until an older job needs its room.
 */
export async function normalizeSeries(
  request: NormalizationRequest,
  identity: SeriesIdentity,
  environment: NormalizationEnvironment,
  options: NormalizationOptions,
): Promise<NormalizationResult> {
  const spool = await openJobSpool(environment.spool, identity);
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
  { signal, onProgress, onCheckpoint = () => {}, onStored = async () => {} }: NormalizationOptions,
): Promise<NormalizationResult> {
  const started = performance.now();
  const progress = new ProgressTracker(onProgress);
  progress.report('open', 0, 1, 'instances');
  // One that was refused room before is not asked of the archive again until it has it.
  await spool.regain();
  const { template, network } = await resolve(request, environment);
  // A pinned request says what its slide is, whatever has become of the other slides of the series.
  const fingerprintFor = (slide: Slide): Fingerprint => {
    const { sourceSha256, slide: slideUid } = request;
    const source = sourceSha256 === undefined ? sourceOf(slide) : { sourceSha256, slideUid };
    return fingerprintOf(source, template, network, environment);
  };
  const key = workKey(request, identity, template, network, environment);
  const checkpoint = await Checkpoint.open(spool, key, onCheckpoint);
  await using open = await openSeries(request, environment, progress, signal, {
    spool,
    checkpoint,
    onAnnounced: (slide) => requireSource(request, slide, fingerprintFor(slide)),
    roomFor: (slide) =>
      checkpoint.reached.levels?.isComplete ? NOTHING : resultRoom(imagesOf(slide), request.encoding),
  });
  const { slide, colour } = open;
  // The metadata that an archive shows may lack what the instances say.
  requireDeclaredHe(slide, request);
  const begun = await factsOf(identity, request, network, environment, signal);
  const fit =
    begun?.fit ??
    checkpoint.reached.fit ??
    (await fitStain(open.base(WHITE), open.overviews(WHITE), network, {
      signal,
      onProgress: (done, total) => progress.report('fit', done, total, 'tiles'),
    }));
  requireHe(fit, request);
  // Only what is new is saved: a checkpoint says that the job has got further.
  if (!checkpoint.reached.fit) await checkpoint.save({ fit });
  const transfer = makeTransfer(request.transfer, fit, template, network.model.classNames);

  const base = slide.levels[0]!;
  const megapixels = (base.totalColumns * base.totalRows) / 1e6;
  const images = imagesOf(slide);
  const encode = { encoding: request.encoding, quality: request.quality };
  const absent = fit.glass.colour;
  const glass = await findGlassTiles(open, transfer.fade, absent, encode, environment.codecs, signal);
  const making: MakeOptions = {
    ...encode,
    codecs: environment.codecs,
    spool,
    signal,
    concurrency: environment.encodeConcurrency,
    checkpointSeconds: environment.checkpointSeconds,
    glass: glass.tiles,
    padding: absent,
    onProgress: (done, total) => progress.report('normalize', done, total, 'pixels'),
  };
  await using levels =
    transfer.name === 'linear'
      ? await mapLevels(open, images, network, transfer, checkpoint, making)
      : await makeLevels(open.base(absent), images, network, transfer, checkpoint, making);
  const { spools } = levels;

  const uids = derivedUids(identity);
  const override = overrideNotes(slide, fit, request);
  const notes = [
    ...slide.notes,
    ...override,
    ...fit.notes,
    ...transfer.notes,
    ...colour.notes,
    ...glass.notes,
    ...levels.notes,
  ];
  // From here on the header is what it is, whoever completes the series.
  const facts = await environment.derivations.keep(identity, {
    fit,
    executionProvider: network.executionProvider,
    deviceSerialNumber: environment.deviceSerialNumber,
    seriesNumber:
      begun?.seriesNumber ??
      (await freeSeriesNumber(environment.destination, slide.studyInstanceUid, uids.series, signal)),
  });
  const fingerprint = fingerprintFor(slide);
  const record: DerivationRecord = {
    identity,
    model: network.model,
    template,
    slide: fingerprint.slideUid && nameOf(slide),
    override: override[0],
    source: facts.fit.classes,
    transfer: request.transfer,
    encoding: request.encoding,
    quality: request.quality,
    executionProvider: facts.executionProvider,
    colourPolicy: colour.policy,
    softwareVersions: environment.softwareVersions,
    deviceSerialNumber: facts.deviceSerialNumber,
    seriesNumber: facts.seriesNumber,
    iccProfile: inputDeviceProfile(await srgbProfile()),
    fullRecord: {
      ...storedRecordOf({ ...seriesContent(request, fingerprint), identity, facts }),
      request: { ...request, ...fingerprint },
      notes,
    },
  };
  const instances = images.map(
    (level, i) =>
      new EncapsulatedInstance({
        dataset: deriveLevel({
          level,
          ...(levels.built.has(level) && { builtFrom: base }),
          derivation: record,
          instanceNumber: i + 1,
          sopInstanceUid: uids.instance(sourceImageOf(level)),
          encodedBytes: spools[i]!.totalBytes,
          sourceIsLossy: open.isLossy(levels.built.has(level) ? base : level),
        }),
        transferSyntaxUid: TRANSFER_SYNTAX[request.encoding],
        spool: spools[i]!,
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
    studyInstanceUid: slide.studyInstanceUid,
    seriesInstanceUid: uids.series,
    sourceSeriesInstanceUid: slide.seriesInstanceUid,
    sourceSlide: fingerprint.slideUid,
    revision: identity.revision,
    supersedes: identity.supersedes,
    instances: images.map((level, i) => ({
      sopInstanceUid: instances[i]!.sopInstanceUid,
      role: level.role,
      totalColumns: level.totalColumns,
      totalRows: level.totalRows,
      frames: level.frames.length,
      bytes: instances[i]!.byteLength,
    })),
    template: template.id,
    templateSha256: template.sha256,
    model: { name: network.model.name, version: network.model.version, sha256: network.model.sha256 },
    transfer: request.transfer,
    executionProvider: network.executionProvider,
    fit: { sampledTiles: fit.sampledTiles, tissueFraction: fit.tissueFraction, classes: fit.classes },
    outOfDistribution: fit.outOfDistribution,
    colourPolicy: colour.policy,
    notes,
    seconds: (performance.now() - started) / 1000,
    megapixels,
  };
}

/** The series that the result will be. */
export function derivedSeriesOf(slide: Slide, identity: SeriesIdentity): DerivedSeries {
  const uids = derivedUids(identity);
  return {
    studyInstanceUid: slide.studyInstanceUid,
    seriesInstanceUid: uids.series,
    // A thumbnail that turns out to be damaged is left out.
    instances: slide.levels.map((level) => ({ sopInstanceUid: uids.instance(sourceImageOf(level)) })),
  };
}

/** For people who tell its derived series from those of the other slides of the series. */
function nameOf({ levels }: Slide): string {
  const { dataset, sopInstanceUid } = levels[0]!.instances[0]!;
  return dataset.string('ContainerIdentifier')?.trim() || sopInstanceUid;
}

/** SOP Instance UID of the image that a derived one is named after. */
function sourceImageOf({ instances }: Level): string {
  return instances[0]!.sopInstanceUid;
}

/**
 * A slide that has got more instances since it was asked for, and work of another model or version, are others: their result must
 * not take the UIDs of this one. @throws SOURCE_CHANGED, WORK_CHANGED
 */
function requireSource(request: NormalizationRequest, slide: Slide, now: Fingerprint): void {
  if (request.sourceSha256 !== undefined && request.sourceSha256 !== sourceSha256(slide))
    throw new StainError('SOURCE_CHANGED', 'The slide has other instances than when it was asked for.');
  if (request.contentSha256 !== undefined && request.contentSha256 !== seriesContent(request, now).content)
    throw new StainError(
      'WORK_CHANGED',
      'The model, the software or its settings are others than when the slide was asked for.',
    );
}

/**
 * What is known of a series that was begun.
 * @throws SERIES_UNREPEATABLE where this device would make other pixels than those that are stored
 */
async function factsOf(
  identity: SeriesIdentity,
  { studyInstanceUid }: NormalizationRequest,
  { executionProvider }: StainNetwork,
  { derivations, destination }: NormalizationEnvironment,
  signal: AbortSignal,
): Promise<DerivationFacts | undefined> {
  const facts = await derivations.find(identity);
  if (facts === undefined || facts.executionProvider === executionProvider) return facts;
  const { series: seriesInstanceUid } = derivedUids(identity);
  const stored = await storedUids({ studyInstanceUid, seriesInstanceUid }, destination, signal);
  if (stored.size === 0) {
    await derivations.forget(identity);
    return undefined;
  }
  await derivations.giveUp(identity);
  throw new StainError(
    'SERIES_UNREPEATABLE',
    `The series was begun on ${facts.executionProvider}; ${executionProvider} would complete it with other pixels.`,
  );
}

/** SHA-256 over all that the pixels of the result depend on, but for the device. */
function workKey(
  request: NormalizationRequest,
  { seriesUuid }: SeriesIdentity,
  template: TemplateVersion,
  { model }: StainNetwork,
  { softwareVersions }: NormalizationEnvironment,
): string {
  const parts = [PIPELINE_VERSION, request, seriesUuid, template.sha256, model.sha256, softwareVersions];
  return sha256(parts);
}

const TRANSFER_SYNTAX = {
  jpeg: '1.2.840.10008.1.2.4.50',
  htj2k: '1.2.840.10008.1.2.4.201',
  jpeg2000: '1.2.840.10008.1.2.4.90',
} as const;
