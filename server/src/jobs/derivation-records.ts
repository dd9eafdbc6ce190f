/** Revisions of derived series and how each was derived, in the database: made once, kept for good. */
import type {
  Derivation,
  DerivationFacts,
  DerivationRecords,
  Revisions,
} from '../normalization/derivations.ts';
import type { SeriesContent } from '../normalization/series-identity.ts';
import type { SeriesIdentity } from '../normalization/types.ts';
import type { Database } from './database.ts';

export const DERIVATION = 'stain_normalization.derivation';

/** Idempotent. `was_stored` is of a series that was found in the archive; what jobs stored is in their own records. */
const SCHEMA = `
CREATE TABLE IF NOT EXISTS ${DERIVATION} (
  series_uuid uuid PRIMARY KEY,
  lineage text NOT NULL,
  content text NOT NULL,
  revision integer NOT NULL,
  supersedes text,
  created_at timestamptz NOT NULL,
  facts jsonb,
  was_stored boolean NOT NULL DEFAULT false,
  given_up boolean NOT NULL DEFAULT false,
  UNIQUE (lineage, revision)
);`;

interface Row {
  readonly series_uuid: string;
  readonly content: string;
  readonly revision: number;
  readonly supersedes: string | null;
  readonly created_at: Date;
  readonly was_stored: boolean;
  readonly given_up: boolean;
}

export class DerivationTable implements DerivationRecords, Pick<Revisions, 'add'> {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  static async open(database: Database): Promise<DerivationTable> {
    await database.define(SCHEMA);
    return new DerivationTable(database);
  }

  async newest({ lineage }: SeriesContent): Promise<Derivation | undefined> {
    const [row] = await this.#database.query<Row>(
      `SELECT * FROM ${DERIVATION} WHERE lineage = $1 ORDER BY revision DESC LIMIT 1`,
      [lineage],
    );
    return (
      row && {
        content: row.content,
        identity: {
          seriesUuid: row.series_uuid,
          revision: row.revision,
          supersedes: row.supersedes ?? undefined,
          createdAt: row.created_at.toISOString(),
        },
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
    const facts = found?.facts ? JSON.stringify(found.facts) : null;
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
      [seriesUuid, JSON.stringify(facts)],
    );
    // A job of a version that kept no such records.
    return row?.facts ?? facts;
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
