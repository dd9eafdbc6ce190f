/** Revisions of derived series and how each was derived, in the database. Written once and kept for good. */

import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import type { ErrorCode } from '../../../core/src/errors.ts';
import type { Derivation, DerivationFacts, DerivationRecords, Revisions } from '../pipeline/derivations.ts';
import type { SeriesContent, SeriesIdentity } from '../pipeline/series-identity.ts';
import type { Database } from './database.ts';
import { toJsonb } from './jsonb.ts';

export const DERIVATION = 'stain_normalization.derivation';
/** The last Series Number given to a derived series of a study. */
const STUDY_NUMBER = 'stain_normalization.series_number';

interface GivenOutColumns {
  readonly request: NormalizationRequest;
  readonly series_number: number;
  readonly facts: DerivationFacts | null;
  readonly refusal: Refusal | null;
}

interface Row {
  readonly series_uuid: string;
  readonly content: string;
  readonly revision: number;
  readonly supersedes: string | null;
  readonly created_at: Date;
  readonly was_stored: boolean;
  readonly given_up: boolean;
}

function identityOf({ series_uuid, revision, supersedes, created_at }: Row): SeriesIdentity {
  return {
    seriesUuid: series_uuid,
    revision,
    supersedes: supersedes ?? undefined,
    createdAt: created_at.toISOString(),
  };
}

/** A series whose UIDs were published. */
export interface GivenOut {
  readonly identity: SeriesIdentity;
  /** Includes the content hashes of what it names, see `pinned`. */
  readonly request: NormalizationRequest;
  readonly seriesNumber: number;
  /** Number of images, once known. */
  readonly images: number | undefined;
  readonly refusal: Refusal | undefined;
}

/** Why a slide is not normalised, no matter who asks. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export class DerivationTable implements DerivationRecords, Pick<Revisions, 'add'> {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async newest({ lineage }: SeriesContent): Promise<Derivation | undefined> {
    const [row] = await this.#database.query<Row>(
      `SELECT * FROM ${DERIVATION} WHERE lineage = $1 ORDER BY revision DESC LIMIT 1`,
      [lineage],
    );
    return (
      row && {
        content: row.content,
        identity: identityOf(row),
        wasStored: row.was_stored,
        isOver: row.given_up,
      }
    );
  }

  async add(
    { lineage, content }: SeriesContent,
    identity: SeriesIdentity,
    found?: { readonly facts: DerivationFacts | undefined; readonly isOver: boolean },
  ): Promise<boolean> {
    const { seriesUuid, revision, supersedes = null, createdAt } = identity;
    const facts = found?.facts ? toJsonb(found.facts) : null;
    const added = await this.#database.query(
      `INSERT INTO ${DERIVATION} (series_uuid, lineage, content, revision, supersedes, created_at, facts, was_stored, given_up)
       VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9) ON CONFLICT DO NOTHING RETURNING series_uuid`,
      [
        seriesUuid,
        lineage,
        content,
        revision,
        supersedes,
        createdAt,
        facts,
        found !== undefined,
        found?.isOver ?? false,
      ],
    );
    return added.length > 0;
  }

  async find({ seriesUuid }: SeriesIdentity): Promise<DerivationFacts | undefined> {
    const [row] = await this.#database.query<{ facts: DerivationFacts | null }>(
      `SELECT facts FROM ${DERIVATION} WHERE series_uuid = $1`,
      [seriesUuid],
    );
    return row?.facts ?? undefined;
  }

  async keep({ seriesUuid }: SeriesIdentity, facts: DerivationFacts): Promise<DerivationFacts> {
    const [row] = await this.#database.query<{ facts: DerivationFacts }>(
      `UPDATE ${DERIVATION} SET facts = coalesce(facts, $2::jsonb) WHERE series_uuid = $1 RETURNING facts`,
      [seriesUuid, toJsonb(facts)],
    );
    // The job ran on a version that kept no such records.
    return row?.facts ?? facts;
  }

  async seriesNumber(
    { seriesUuid }: SeriesIdentity,
    studyInstanceUid: string,
    free: number,
  ): Promise<number> {
    // Rows of one study are written one after the other: each sees the numbers of those before it.
    await this.#database.query(
      `INSERT INTO ${STUDY_NUMBER} (study_uid, last) VALUES ($1, 0) ON CONFLICT DO NOTHING`,
      [studyInstanceUid],
    );
    const [row] = await this.#database.query<{ series_number: number }>(
      `WITH numbered AS (
         UPDATE ${STUDY_NUMBER} SET last = greatest(least(last::bigint + 1, 2147483647)::integer, $3::integer)
         WHERE study_uid = $2 AND EXISTS (SELECT 1 FROM ${DERIVATION} WHERE series_uuid = $1 AND series_number IS NULL)
         RETURNING last
       )
       UPDATE ${DERIVATION}
       SET series_number = coalesce(series_number, (facts->>'seriesNumber')::integer, (SELECT last FROM numbered))
       WHERE series_uuid = $1 RETURNING series_number`,
      [seriesUuid, studyInstanceUid, free],
    );
    return row?.series_number ?? free;
  }

  /** The series is listed before it is made. Its request and number stay fixed. @param free as in `seriesNumber` */
  async giveOut(identity: SeriesIdentity, request: NormalizationRequest, free: number): Promise<void> {
    await this.seriesNumber(identity, request.studyInstanceUid, free);
    await this.#database.query(
      `UPDATE ${DERIVATION} SET request = coalesce(request, $2::jsonb) WHERE series_uuid = $1`,
      [identity.seriesUuid, toJsonb(request)],
    );
  }

  async givenOut(seriesUuid: string): Promise<GivenOut | undefined> {
    const [row] = await this.#database.query<Row & GivenOutColumns>(
      `SELECT * FROM ${DERIVATION} WHERE series_uuid = $1 AND request IS NOT NULL`,
      [seriesUuid],
    );
    if (!row) return undefined;
    const { request, series_number: seriesNumber, facts, refusal } = row;
    return {
      identity: identityOf(row),
      request,
      seriesNumber,
      images: facts?.images,
      refusal: refusal ?? undefined,
    };
  }

  /** Takes over what the header of a stored series says about it. */
  async adopt({ seriesUuid, createdAt }: SeriesIdentity, facts: DerivationFacts): Promise<void> {
    await this.#database.query(
      `UPDATE ${DERIVATION} SET created_at = $2, facts = $3::jsonb, series_number = $4, was_stored = true WHERE series_uuid = $1`,
      [seriesUuid, createdAt, toJsonb(facts), facts.seriesNumber],
    );
  }

  async refuse({ seriesUuid }: SeriesIdentity, refusal: Refusal): Promise<void> {
    await this.#database.query(`UPDATE ${DERIVATION} SET refusal = $2::jsonb WHERE series_uuid = $1`, [
      seriesUuid,
      toJsonb(refusal),
    ]);
  }

  async forget({ seriesUuid }: SeriesIdentity): Promise<void> {
    await this.#database.query(`UPDATE ${DERIVATION} SET facts = NULL WHERE series_uuid = $1`, [seriesUuid]);
  }

  async giveUp({ seriesUuid }: SeriesIdentity): Promise<void> {
    await this.#database.query(`UPDATE ${DERIVATION} SET given_up = true WHERE series_uuid = $1`, [
      seriesUuid,
    ]);
  }
}
