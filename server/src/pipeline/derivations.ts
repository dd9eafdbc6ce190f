/**
 * Revisions of derived series, and how each was derived. A series that was begun is completed from its record, to the
 * same bytes. A series that was deleted, rejected or made from fewer instances than there are now is followed by a new
 * revision.
 */

import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import { uidFromUuid } from '../dicom/uid.ts';
import type { Fit } from './fit.ts';
import type { SeriesIdentity } from './series-identity.ts';
import { type SeriesContent, seriesIdentity } from './series-identity.ts';

/** Another process may be faster a few times; more rounds than this have another cause. */
const MAX_ROUNDS = 20;

/** What a header says that another run would not repeat, and what determines the pixels. */
export interface DerivationFacts {
  readonly seriesNumber: number;
  readonly deviceSerialNumber: string;
  /** Provider of the fit; with `paper`, of every pixel. */
  readonly executionProvider: string;
  readonly fit: Fit;
  /** Number of images made of the slide: a thumbnail that cannot be read is left out. */
  readonly images?: number | undefined;
  /** Estimated ratio of each image (lossy-ratio.ts); only for JPEG with `linear`. */
  readonly lossyRatios?: readonly number[] | undefined;
}

/** One revision of a series. */
export interface Derivation {
  /** As in `SeriesContent`. */
  readonly content: string;
  readonly identity: SeriesIdentity;
  /** Whether any of its instances has ever reached the archive. */
  readonly wasStored: boolean;
  /** Nothing is stored under its UIDs any more. */
  readonly isOver: boolean;
}

/** Where revisions are recorded. */
export interface Revisions {
  /** The newest revision of a lineage. */
  newest(content: SeriesContent): Promise<Derivation | undefined>;
  /** Returns false if another request has added this revision in the meantime. */
  add(content: SeriesContent, identity: SeriesIdentity): Promise<boolean>;
}

/**
 * Whether a series that was begun can be completed to the same bytes on this device. With `linear` only the fit needs
 * the network, and the fit is kept.
 */
export function isRepeatable(
  { transfer }: Pick<NormalizationRequest, 'transfer'>,
  facts: Pick<DerivationFacts, 'executionProvider'>,
  executionProvider: string,
): boolean {
  return transfer === 'linear' || facts.executionProvider === executionProvider;
}

/** Records of series in progress. */
export interface DerivationRecords {
  /** What the header of a series says that was begun. */
  find(identity: SeriesIdentity): Promise<DerivationFacts | undefined>;
  /** Called before the first instance is stored. Facts that are already kept win: the ones to use are returned. */
  keep(identity: SeriesIdentity, facts: DerivationFacts): Promise<DerivationFacts>;
  /**
   * A permanent Series Number, which no other series begun in the study has.
   * @param free the lowest number that is free in the archive
   */
  seriesNumber(identity: SeriesIdentity, studyInstanceUid: string, free: number): Promise<number>;
  /** Nothing was stored with these facts: the series starts afresh. */
  forget(identity: SeriesIdentity): Promise<void>;
  /** The series can never be completed to the same bytes: the next request makes the next revision. */
  giveUp(identity: SeriesIdentity): Promise<void>;
}

/** For a process without a database: records of one series, with these facts read from the archive. */
export function recordsOf(facts: DerivationFacts | undefined): DerivationRecords {
  return {
    find: async () => facts,
    keep: async (_identity, made) => facts ?? made,
    seriesNumber: async (_identity, _study, free) => free,
    forget: async () => {},
    giveUp: async () => {},
  };
}

/** The revision that a request refers to: the newest if it can still be made or completed, otherwise the next. */
export async function revisionOf(
  content: SeriesContent,
  revisions: Revisions,
  now = () => new Date().toISOString(),
): Promise<SeriesIdentity> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
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
  throw new StainError('INTERNAL', 'The series could not be given a new revision.');
}
