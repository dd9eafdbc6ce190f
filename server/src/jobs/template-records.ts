/**
 * Templates in the database, a row a version. A version is never changed: another content is another row, and one that was
 * removed or followed by another stays for the jobs that were asked with it and for what was derived. Content is text of
 * some kind, which is not looked into here.
 */
import type { TemplateSource } from '../normalization/template-store.ts';
import { BATCH, BatchRecords, OPEN, SERIES } from './batch-records.ts';
import type { Database } from './database.ts';
import { JOB, UNFINISHED } from './job-records.ts';

const TABLE = 'stain_normalization.template';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS ${TABLE} (
  id text NOT NULL,
  version integer NOT NULL,
  sha256 text NOT NULL,
  kind text NOT NULL,
  content text NOT NULL,
  name text NOT NULL,
  description text NOT NULL,
  licence text NOT NULL,
  origin text NOT NULL,
  made_at text NOT NULL,
  made_by text NOT NULL,
  thumbnail text NOT NULL,
  owner text,
  shipped boolean NOT NULL DEFAULT false,
  source jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz,
  PRIMARY KEY (id, version)
);
CREATE UNIQUE INDEX IF NOT EXISTS template_current ON ${TABLE} (id) WHERE removed_at IS NULL AND NOT shipped;
CREATE UNIQUE INDEX IF NOT EXISTS template_shipped ON ${TABLE} (id, sha256) WHERE shipped;
CREATE INDEX IF NOT EXISTS template_owner ON ${TABLE} (owner);
CREATE INDEX IF NOT EXISTS job_template ON ${JOB} ((request->>'templateSha256'));`;

/** How long a version that nothing was asked with is kept after its end: a request may be under way with it. */
const KEPT_FOR = `interval '1 day'`;

/** What there is of a template before it is written down. `content` is of that `kind`, and hashed to `sha256`. */
export interface NewTemplate {
  readonly id: string;
  readonly sha256: string;
  readonly kind: string;
  readonly content: string;
  readonly name: string;
  readonly description: string;
  readonly licence: string;
  /** Where it is from, in words that all may read. */
  readonly origin: string;
  /** ISO 8601; by which software. */
  readonly madeAt: string;
  readonly madeBy: string;
  /** JPEG, base64. */
  readonly thumbnail: string;
  readonly source: TemplateSource | null;
}

export interface TemplateRecord extends Omit<NewTemplate, 'thumbnail'> {
  readonly version: number;
  /** Id of the principal; null for those of the service itself. */
  readonly owner: string | null;
  readonly isShipped: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601: since when it is another version's, or nobody's, turn. */
  readonly removedAt: string | null;
}

interface Row extends Omit<TemplateRecord, 'madeAt' | 'madeBy' | 'isShipped' | 'createdAt' | 'removedAt'> {
  readonly made_at: string;
  readonly made_by: string;
  readonly shipped: boolean;
  readonly created_at: Date;
  readonly removed_at: Date | null;
}

/** Who changes a template. */
export interface TemplateEditor {
  /** Id of the principal; null: the service itself. */
  readonly id: string | null;
  readonly isAdministrator: boolean;
}

const COLUMNS = `id, version, sha256, kind, content, name, description, licence, origin, made_at, made_by, owner, shipped,
  source, created_at, removed_at`;
const WRITTEN = `id, version, sha256, kind, content, name, description, licence, origin, made_at, made_by, thumbnail, source, owner, shipped`;
const NEXT_VERSION = `(SELECT coalesce(max(version), 0) + 1 FROM ${TABLE} WHERE id = $1)`;
const VALUES = `$1, ${NEXT_VERSION}, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb`;
const IS_CURRENT = 'removed_at IS NULL AND NOT shipped';
/** Those that `editor` may change; what has no owner is for administrators. */
const IS_OF_EDITOR = (editor: string, isAdministrator: string): string =>
  `(${isAdministrator}::boolean OR owner = ${editor}::text)`;

export class TemplateRecords {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** After `JobRecords.open`, which makes the schema. */
  static async open(database: Database): Promise<TemplateRecords> {
    // Jobs and batches are looked at for the templates they were asked with.
    await BatchRecords.open(database);
    await database.define(SCHEMA);
    return new TemplateRecords(database);
  }

  /** Those of users and of the service that can be asked for, by name. */
  current(): Promise<TemplateRecord[]> {
    return this.#select(`WHERE ${IS_CURRENT} ORDER BY name, id`, []);
  }

  async findCurrent(id: string): Promise<TemplateRecord | undefined> {
    return (await this.#select(`WHERE ${IS_CURRENT} AND id = $1`, [id]))[0];
  }

  /** Of shipped, current, older and removed versions with that content, the one that counts most. */
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

  /** Writes down what comes with the product, so that its content is there when the product has another. */
  async putShipped(template: NewTemplate): Promise<void> {
    // Services that start at the same time take turns: of the two keys of the table, ON CONFLICT settles one alone.
    await this.#database.query(
      `INSERT INTO ${TABLE} (${WRITTEN}) SELECT ${VALUES}, NULL, true
       FROM (SELECT pg_advisory_xact_lock(hashtext('${TABLE}'))) AS turn
       ON CONFLICT (id, sha256) WHERE shipped DO UPDATE SET name = excluded.name, description = excluded.description,
         licence = excluded.licence, origin = excluded.origin, thumbnail = excluded.thumbnail`,
      valuesOf(template),
    );
  }

  /**
   * A new template, or with `replace` the next version of one that the editor may change, which keeps its owner.
   * Undefined where there is one already, and it may not be or is not to be replaced.
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

  /** Undefined where there is none, or the editor may not. */
  async remove(id: string, editor: TemplateEditor): Promise<TemplateRecord | undefined> {
    const rows = await this.#database.query<Row>(
      `UPDATE ${TABLE} SET removed_at = now() WHERE id = $1 AND ${IS_CURRENT} AND ${IS_OF_EDITOR('$2', '$3')} RETURNING ${COLUMNS}`,
      [id, editor.id, editor.isAdministrator],
    );
    return rows.map(toRecord)[0];
  }

  /** Unfinished jobs that were asked for with a template of that id, and series of batches that have no job yet. */
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

  /** Versions of an owner that are current or ended lately, and bytes of all. */
  async usage(owner: string | null): Promise<{ versions: number; bytes: number }> {
    const [row] = await this.#database.query<{ versions: number; bytes: number }>(
      `SELECT count(*) FILTER (WHERE owner = $1 AND (removed_at IS NULL OR removed_at > now() - ${KEPT_FOR}))::integer AS versions,
         coalesce(sum(octet_length(content) + octet_length(thumbnail)), 0)::float8 AS bytes
       FROM ${TABLE} WHERE NOT shipped`,
      [owner],
    );
    return row!;
  }

  /** Forgets versions of users that ended a while ago and explain nothing, because nothing was asked with them. */
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
