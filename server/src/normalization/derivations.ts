/**
 * Revisions of derived series, and how each was derived. A series that was begun is completed from its record to the same
 * bytes; one that was deleted, rejected or made of fewer instances than there are now is followed by the next revision.
 */
import { uidFromUuid } from '../dicom/uid.ts';
import { StainError } from '../errors.ts';
import type { Fit } from './fit.ts';
import { type SeriesContent, seriesIdentity } from './series-identity.ts';
import type { SeriesIdentity } from './types.ts';

/** Others may be faster a few times; what goes on like this has another reason. */
const MOST_ROUNDS = 20;

/** What a header says that another run would not say again. */
export interface DerivationFacts {
  readonly seriesNumber: number;
  readonly deviceSerialNumber: string;
  readonly executionProvider: string;
  readonly fit: Fit;
}

/** One revision of a series. */
export interface Derivation {
  /** As in `SeriesContent`. */
  readonly content: string;
  readonly identity: SeriesIdentity;
  /** Whether any of its instances has ever reached the archive. */
  readonly wasStored: boolean;
  /** No byte goes under its UIDs any more. */
  readonly isOver: boolean;
}

/** Where revisions are written down. */
export interface Revisions {
  /** The newest of a lineage. */
  newest(content: SeriesContent): Promise<Derivation | undefined>;
  /** False where another request has added this revision meanwhile. */
  add(content: SeriesContent, identity: SeriesIdentity): Promise<boolean>;
}

/** The records of series in work. */
export interface DerivationRecords {
  /** What the header of a series says that was begun. */
  find(identity: SeriesIdentity): Promise<DerivationFacts | undefined>;
  /** Before the first instance is stored. Once kept, facts stay: those that are to be used are returned. */
  keep(identity: SeriesIdentity, facts: DerivationFacts): Promise<DerivationFacts>;
  /** Nothing was stored with these facts: the series is begun anew. */
  forget(identity: SeriesIdentity): Promise<void>;
  /** What was begun can never be completed to the same bytes: the next request makes the next revision. */
  giveUp(identity: SeriesIdentity): Promise<void>;
}

/** Records of one series, of which the archive tells these facts, for a process without a database. */
export function recordsOf(facts: DerivationFacts | undefined): DerivationRecords {
  return {
    find: async () => facts,
    keep: async (_identity, made) => facts ?? made,
    forget: async () => {},
    giveUp: async () => {},
  };
}

/** The revision that a request means: the newest one where that can still be made or completed, or the next. */
export async function revisionOf(
  content: SeriesContent,
  revisions: Revisions,
  now = () => new Date().toISOString(),
): Promise<SeriesIdentity> {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const newest = await revisions.newest(content);
    if (newest && newest.content === content.content && !newest.isOver) return newest.identity;
    const next = seriesIdentity(
      content,
      (newest?.identity.revision ?? 0) + 1,
      now(),
      newest?.wasStored ? uidFromUuid(newest.identity.seriesUuid) : newest?.identity.supersedes,
    );
    if (await revisions.add(content, next)) return next;
  }
  throw new StainError('INTERNAL', 'No revision of the series can be added.');
}
