/**
 * Revisions as the archive shows them: what the command line goes by, which has no database, and a service whose database is
 * new. How a series was derived is read back from its own header.
 */
import { z } from 'zod';
import { isDescribedAsOurs } from '../dicom/derivation.ts';
import { isOurs } from '../dicom/equipment.ts';
import { fullRecordOf } from '../dicom/private-block.ts';
import { uidFromUuid } from '../dicom/uid.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { textOf } from '../dicomweb/dicom-json.ts';
import { orNone } from '../dicomweb/no-match.ts';
import type { Derivation, DerivationFacts } from './derivations.ts';
import type { SeriesReference } from './open-series.ts';
import { isRejected } from './rejection.ts';
import { type SeriesContent, seriesIdentity } from './series-identity.ts';
import type { SeriesIdentity } from './types.ts';

/** Revisions of one series that are looked for. */
const MOST_REVISIONS = 200;
/** Series of a study of which the headers are read. */
const MOST_READ = 20;

/** What a header says of its own revision. */
export interface StoredRecord extends SeriesContent {
  readonly identity: SeriesIdentity;
  readonly facts: DerivationFacts;
}

/** A revision that the archive shows. `facts` is undefined where they cannot be read any more. */
export interface StoredDerivation extends Derivation {
  readonly facts: DerivationFacts | undefined;
}

/**
 * The newest revision of a lineage in a study. Its UIDs tell whether it was made of the same instances; only where that is
 * not so are headers of other results read.
 */
export async function findStored(
  content: SeriesContent,
  studyInstanceUid: string,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<StoredDerivation | undefined> {
  const parameters = { StudyInstanceUID: studyInstanceUid, Modality: 'SM' };
  const series = await archive.searchSeries(parameters, signal);
  const uids = new Set(series.map((json) => textOf(json, '0020000E')));
  for (let revision = MOST_REVISIONS; revision > 0; revision--) {
    const identity = seriesIdentity(content, revision, new Date().toISOString());
    const seriesInstanceUid = uidFromUuid(identity.seriesUuid);
    if (!uids.has(seriesInstanceUid)) continue;
    const reference = { studyInstanceUid, seriesInstanceUid };
    const record = await readRecord(reference, archive, signal);
    return {
      content: content.content,
      identity: record?.identity ?? identity,
      facts: record?.facts,
      wasStored: true,
      isOver: await isRejected(reference, archive, signal),
    };
  }
  let newest: StoredRecord | undefined;
  for (const json of series.filter((one) => isDescribedAsOurs(textOf(one, '0008103E'))).slice(-MOST_READ)) {
    const reference = { studyInstanceUid, seriesInstanceUid: textOf(json, '0020000E')! };
    const record = await readRecord(reference, archive, signal);
    if (record?.lineage !== content.lineage) continue;
    if (!newest || record.identity.revision > newest.identity.revision) newest = record;
  }
  return newest && { ...newest, wasStored: true, isOver: true };
}

/**
 * What a header is to say of its revision. Always in one order, wherever the facts have been kept: the bytes of a header that is
 * made again are those that it had.
 */
export function storedRecordOf(record: StoredRecord): StoredRecord {
  return storedRecord.parse(record);
}

/** undefined where no header of the series has a record that is whole. */
async function readRecord(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<StoredRecord | undefined> {
  const headers = await orNone(() => archive.seriesMetadata(studyInstanceUid, seriesInstanceUid, signal));
  for (const header of headers ?? []) {
    const parsed = isOurs(header) ? storedRecord.safeParse(fullRecordOf(header)) : undefined;
    if (parsed?.success && uidFromUuid(parsed.data.identity.seriesUuid) === seriesInstanceUid)
      return parsed.data;
  }
  return undefined;
}

const triple = z.tuple([z.number(), z.number(), z.number()]);

const fit = z.object({
  classes: z.array(z.object({ share: z.number(), mean: triple, sd: triple })),
  glassDensity: z.number(),
  glass: z.object({ density: z.number(), colour: triple }),
  fade: z.object({ low: z.number(), high: z.number() }),
  sampledTiles: z.number(),
  pixels: z.number(),
  tissueFraction: z.number(),
  outOfDistribution: z.object({ score: z.number(), reasons: z.array(z.string()) }),
  notes: z.array(z.string()),
});

const storedRecord = z.object({
  lineage: z.string(),
  content: z.string(),
  identity: z.object({
    seriesUuid: z.uuid(),
    revision: z.int().min(1),
    supersedes: z.string().optional(),
    createdAt: z.iso.datetime(),
  }),
  facts: z.object({
    seriesNumber: z.int(),
    deviceSerialNumber: z.string(),
    executionProvider: z.string(),
    fit,
  }),
});
