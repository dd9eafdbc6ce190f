/**
 * Revisions as they are in the archive. The command line, which has no database, relies on them, and so does a service
 * with a new database. How a series was derived is read back from its own header.
 */
import { z } from 'zod';
import { isOfContent, toStainError } from '../../../core/src/errors.ts';
import { isDescribedAsOurs } from '../derived/derivation.ts';
import { isOurs } from '../derived/equipment.ts';
import { fullRecordOf } from '../derived/private-block.ts';
import { type DicomJson, numberOf, textOf } from '../dicom/json-model.ts';
import { isUid, uidFromUuid } from '../dicom/uid.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { orNone } from '../dicomweb/no-match.ts';
import type { Derivation, DerivationFacts } from './derivations.ts';
import { isRejected } from './rejection.ts';
import type { SeriesIdentity } from './series-identity.ts';
import { type SeriesContent, seriesIdentity } from './series-identity.ts';
import type { SeriesReference } from './series-reference.ts';

/** Maximum number of revisions to look for. */
const MAX_REVISIONS = 200;
/** Maximum number of series in a study whose headers are read. */
const MAX_READ = 20;

/** What a header records about its own revision. */
export interface StoredRecord extends SeriesContent {
  readonly identity: SeriesIdentity;
  readonly facts: DerivationFacts;
}

/** A revision in the archive. `facts` is undefined if they can no longer be read. */
export interface StoredDerivation extends Derivation {
  readonly facts: DerivationFacts | undefined;
}

/**
 * The newest revision of a lineage in a study. The UIDs tell whether a revision was made from the same instances. Only
 * if none was, or if that one was rejected, are the headers of other results read.
 */
export async function findStored(
  content: SeriesContent,
  studyInstanceUid: string,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<StoredDerivation | undefined> {
  const parameters = { StudyInstanceUID: studyInstanceUid, Modality: 'SM' };
  const series = (await orNone(() => archive.searchSeries(parameters, signal))) ?? [];
  const uids = new Set(series.map((json) => textOf(json, '0020000E')));
  const identity = newestOf(content, uids);
  let newest: StoredDerivation | undefined;
  if (identity) {
    const reference = { studyInstanceUid, seriesInstanceUid: uidFromUuid(identity.seriesUuid) };
    const record = await readRecord(reference, archive, signal);
    const isOver = await isRejected(reference, archive, signal);
    newest = { content: content.content, identity, facts: undefined, wasStored: true, ...record, isOver };
    if (!isOver) return newest;
  }
  const others = series.filter(
    (json) => isDescribedAsOurs(textOf(json, '0008103E')) && textOf(json, '0020000E') !== undefined,
  );
  for (const json of newestFirst(others).slice(0, MAX_READ)) {
    const reference = { studyInstanceUid, seriesInstanceUid: textOf(json, '0020000E')! };
    const record = await readRecord(reference, archive, signal);
    if (record?.lineage !== content.lineage) continue;
    if (!newest || record.identity.revision > newest.identity.revision)
      newest = { ...record, wasStored: true, isOver: true };
  }
  return newest;
}

function newestOf(content: SeriesContent, uids: ReadonlySet<string | undefined>): SeriesIdentity | undefined {
  for (let revision = MAX_REVISIONS; revision > 0; revision--) {
    const identity = seriesIdentity(content, revision, new Date().toISOString());
    if (uids.has(uidFromUuid(identity.seriesUuid))) return identity;
  }
  return undefined;
}

/** Sorts by Series Number: archives list series in any order. */
function newestFirst(series: readonly DicomJson[]): DicomJson[] {
  const number = (json: DicomJson): number => numberOf(json, '00200011') ?? 0;
  return series.toSorted((a, b) => number(b) - number(a));
}

/**
 * What a header records about its revision, always in the same order, wherever the facts were kept: a header made again
 * has the same bytes.
 */
export function storedRecordOf(record: StoredRecord): StoredRecord {
  return storedRecord.parse(record);
}

/** undefined if no header of the series has a complete record, or none can be read: it is perhaps not even ours. */
async function readRecord(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<StoredRecord | undefined> {
  const read = orNone(() => archive.seriesMetadata(studyInstanceUid, seriesInstanceUid, signal));
  const headers = await read.catch((error: unknown) => {
    if (isOfContent(toStainError(error).code)) return undefined;
    throw error;
  });
  for (const header of headers ?? []) {
    const parsed = isOurs(header) ? storedRecord.safeParse(fullRecordOf(header)) : undefined;
    if (parsed?.success && isOf(parsed.data, seriesInstanceUid)) return parsed.data;
  }
  return undefined;
}

/** A record copied into another series, or made up, is ignored. */
function isOf({ content, lineage, identity }: StoredRecord, seriesInstanceUid: string): boolean {
  const { seriesUuid } = seriesIdentity({ content, lineage }, identity.revision, identity.createdAt);
  return seriesUuid === identity.seriesUuid && uidFromUuid(seriesUuid) === seriesInstanceUid;
}

/** LO: what an archive returns is written into a header again. */
const shortText = z.string().regex(/^[\x20-\x7e]{1,64}$/);
const triple = z.tuple([z.number(), z.number(), z.number()]);

const fit = z.object({
  classes: z.array(z.object({ share: z.number(), mean: triple, sd: triple })),
  densities: z.array(
    z.object({ share: z.number(), mean: triple, covariance: z.tuple([triple, triple, triple]) }),
  ),
  gain: z.number(),
  glassDensity: z.number(),
  glass: z.object({ density: z.number(), colour: triple }),
  fade: z.object({ low: z.number(), high: z.number() }),
  sampledTiles: z.number(),
  pixels: z.number(),
  tissueFraction: z.number(),
  outOfDistribution: z.object({
    verdict: z.enum(['he', 'unsure', 'other']),
    score: z.number(),
    reasons: z.array(z.string()),
  }),
  notes: z.array(z.string()),
});

const storedRecord = z.object({
  lineage: z.string(),
  content: z.string(),
  identity: z.object({
    seriesUuid: z.uuid(),
    revision: z.int().min(1).max(MAX_REVISIONS),
    supersedes: z.string().refine(isUid).optional(),
    createdAt: z.iso.datetime(),
  }),
  facts: z.object({
    seriesNumber: z
      .int()
      .min(-(2 ** 31))
      .max(2 ** 31 - 1),
    deviceSerialNumber: shortText,
    executionProvider: shortText,
    fit,
    images: z.int().positive().optional(),
    lossyRatios: z.array(z.number().positive()).optional(),
  }),
});
