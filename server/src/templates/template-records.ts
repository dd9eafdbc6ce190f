/**
 * Templates in the database, one row per version. A version never changes: other content is another row, and a version
 * that was removed or replaced stays for the jobs and results that refer to it. Content is text of some kind, which is
 * not interpreted here.
 */

import { BATCH, OPEN, SERIES } from '../jobs/batch-records.ts';
import type { Database } from '../jobs/database.ts';
import { JOB, UNFINISHED } from '../jobs/job-records.ts';
import type { TemplateSource } from '../pipeline/template-store.ts';

const TABLE = 'stain_normalization.template';

/** How long a version that nothing refers to is kept after its end: a request that uses it may be in progress. */
const KEPT_FOR = `interval '1 day'`;

/** A template before it is recorded. `content` is of that `kind`, and `sha256` is its hash. */
export interface NewTemplate {
  readonly id: string;
  readonly sha256: string;
  readonly kind: string;
  readonly content: string;
  readonly name: string;
  readonly description: string;
  readonly licence: string;
  /** Where the template comes from, in words that everybody may read. */
  readonly origin: string;
  /** Time in ISO 8601, and the software. */
  readonly madeAt: string;
  readonly madeBy: string;
  /** JPEG, base64. */
  readonly thumbnail: string;
  readonly source: TemplateSource | null;
}

export interface TemplateRecord extends Omit<NewTemplate, 'thumbnail'> {
  readonly version: number;
  /** Id of the principal; null for the service's own templates. */
  readonly owner: string | null;
  readonly isShipped: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601: when the version was replaced or removed. */
  readonly removedAt: string | null;
}

interface Row extends Omit<TemplateRecord, 'madeAt' | 'madeBy' | 'isShipped' | 'createdAt' | 'removedAt'> {
  readonly made_at: string;
  readonly made_by: string;
  readonly shipped: boolean;
  readonly created_at: Date;
  readonly removed_at: Date | null;
}

/** Somebody who changes a template. */
export interface TemplateEditor {
  /** Id of the principal; null for the service itself. */
  readonly id: string | null;
  readonly isAdministrator: boolean;
}

const COLUMNS = `id, version, sha256, kind, content, name, description, licence, origin, made_at, made_by, owner, shipped,
  source, created_at, removed_at`;
const WRITTEN = `id, version, sha256, kind, content, name, description, licence, origin, made_at, made_by, thumbnail, source, owner, shipped`;
const NEXT_VERSION = `(SELECT coalesce(max(version), 0) + 1 FROM ${TABLE} WHERE id = $1)`;
const VALUES = `$1, ${NEXT_VERSION}, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb`;
const IS_CURRENT = 'removed_at IS NULL AND NOT shipped';
/** Templates that `editor` may change; those without an owner are for administrators. */
const IS_OF_EDITOR = (editor: string, isAdministrator: string): string =>
  `(${isAdministrator}::boolean OR owner = ${editor}::text)`;

export class TemplateRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Current templates of users and of the service, by name. */
  current(): Promise<TemplateRecord[]> {
    return this.#select(`WHERE ${IS_CURRENT} ORDER BY name, id`, []);
  }

  async findCurrent(id: string): Promise<TemplateRecord | undefined> {
    return (await this.#select(`WHERE ${IS_CURRENT} AND id = $1`, [id]))[0];
  }

  /** Of the shipped, current, older and removed versions with that content, the one that takes precedence. */
  async findVersion(id: string, sha256: string): Promise<TemplateRecord | undefined> {
    const [found] = await this.#select(
      'WHERE id = $1 AND sha256 = $2 ORDER BY shipped DESC, removed_at IS NULL DESC, version DESC LIMIT 1',
      [id, sha256],
    );
    return found;
  }

  /** JPEG, base64. */
  async thumbnail({ id, version }: TemplateRecord): Promise<string | undefined> {
    const [row] = await this.#database.query<{ thumbnail: string }>(
      `SELECT thumbnail FROM ${TABLE} WHERE id = $1 AND version = $2`,
      [id, version],
    );
    return row?.thumbnail;
  }

  /** Records a shipped template, so that its content remains when a later version of the product ships another. */
  async putShipped(template: NewTemplate): Promise<void> {
    // Services that start at the same time take turns: of the table's two keys, ON CONFLICT handles only one.
    await this.#database.query(
      `INSERT INTO ${TABLE} (${WRITTEN}) SELECT ${VALUES}, NULL, true
       FROM (SELECT pg_advisory_xact_lock(hashtext('${TABLE}'))) AS turn
       ON CONFLICT (id, sha256) WHERE shipped DO UPDATE SET name = excluded.name, description = excluded.description,
         licence = excluded.licence, origin = excluded.origin, thumbnail = excluded.thumbnail`,
      valuesOf(template),
    );
  }

  /**
   * Inserts a new template or, with `replace`, the next version of one that the editor may change; the owner stays.
   * Returns undefined if the template exists and may not be, or is not to be, replaced.
   */
  async insert(
    template: NewTemplate,
    editor: TemplateEditor,
    replace: boolean,
  ): Promise<TemplateRecord | undefined> {
    const rows = await this.#database.query<Row>(
      `WITH gone AS (
         UPDATE ${TABLE} SET removed_at = now()
         WHERE id = $1 AND ${IS_CURRENT} AND $15::boolean AND ${IS_OF_EDITOR('$13', '$14')} RETURNING owner)
       INSERT INTO ${TABLE} (${WRITTEN})
       SELECT ${VALUES}, CASE WHEN EXISTS (SELECT 1 FROM gone) THEN (SELECT owner FROM gone) ELSE $13::text END, false
       ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
      [...valuesOf(template), editor.id, editor.isAdministrator, replace],
    );
    return rows.map(toRecord)[0];
  }

  /** Returns undefined if there is none, or the editor may not remove it. */
  async remove(id: string, editor: TemplateEditor): Promise<TemplateRecord | undefined> {
    const rows = await this.#database.query<Row>(
      `UPDATE ${TABLE} SET removed_at = now() WHERE id = $1 AND ${IS_CURRENT} AND ${IS_OF_EDITOR('$2', '$3')} RETURNING ${COLUMNS}`,
      [id, editor.id, editor.isAdministrator],
    );
    return rows.map(toRecord)[0];
  }

  /** Number of unfinished jobs that use a template with that id, plus batch series that have no job yet. */
  async countUnfinished(id: string): Promise<number> {
    const [row] = await this.#database.query<{ n: number }>(
      `SELECT (
         (SELECT count(*) FROM ${JOB} WHERE request->>'template' = $1 AND ${UNFINISHED}) +
         (SELECT count(*) FROM ${SERIES} l JOIN ${BATCH} b ON b.id = l.batch
          WHERE b.request->>'template' = $1 AND ${OPEN}))::integer AS n`,
      [id],
    );
    return row!.n;
  }

  /** Number of an owner's versions that are current or ended recently, and the total bytes of all templates. */
  async usage(owner: string | null): Promise<{ versions: number; bytes: number }> {
    const [row] = await this.#database.query<{ versions: number; bytes: number }>(
      `SELECT count(*) FILTER (WHERE owner = $1 AND (removed_at IS NULL OR removed_at > now() - ${KEPT_FOR}))::integer AS versions,
         coalesce(sum(octet_length(content) + octet_length(thumbnail)), 0)::float8 AS bytes
       FROM ${TABLE} WHERE NOT shipped`,
      [owner],
    );
    return row!;
  }

  /** Deletes users' versions that ended a while ago and to which nothing refers. */
  async purge(): Promise<void> {
    await this.#database.query(
      `DELETE FROM ${TABLE} t WHERE removed_at < now() - ${KEPT_FOR} AND owner IS NOT NULL AND NOT shipped
         AND NOT EXISTS (SELECT 1 FROM ${JOB} WHERE request->>'templateSha256' = t.sha256)
         AND NOT EXISTS (SELECT 1 FROM ${BATCH} WHERE request->>'templateSha256' = t.sha256)`,
      [],
    );
  }

  async #select(where: string, values: readonly unknown[]): Promise<TemplateRecord[]> {
    return (await this.#database.query<Row>(`SELECT ${COLUMNS} FROM ${TABLE} ${where}`, values)).map(
      toRecord,
    );
  }
}

function valuesOf(template: NewTemplate): unknown[] {
  const { id, sha256, kind, content, name, description, licence, origin } = template;
  const { madeAt, madeBy, thumbnail, source } = template;
  const sourceJson = source && JSON.stringify(source);
  return [
    id,
    sha256,
    kind,
    content,
    name,
    description,
    licence,
    origin,
    madeAt,
    madeBy,
    thumbnail,
    sourceJson,
  ];
}

function toRecord({ made_at, made_by, shipped, created_at, removed_at, ...row }: Row): TemplateRecord {
  return {
    ...row,
    madeAt: made_at,
    madeBy: made_by,
    isShipped: shipped,
    createdAt: created_at.toISOString(),
    removedAt: removed_at?.toISOString() ?? null,
  };
}
