/**
 * Anchors of audit trails: the number of lines at some time, and the digest of the last line. They are kept where
 * somebody who can change the file cannot reach them: in the database, and at the syslog receiver. They reveal lines
 * that were cut off later.
 */
import { z } from 'zod';
import type { TrailHead } from './audit-line.ts';

const TABLE = 'stain_normalization.audit_anchor';
/** Anchors to delete in one statement. A process adds a hundred in a day. */
const MAX_PRUNED = 1000;

export interface Anchor extends TrailHead {
  /** The process that writes the trail. */
  readonly observer: string;
  /** ISO 8601. */
  readonly recorded: string;
}

export interface AnchorStore {
  add(anchor: Anchor): Promise<void>;
}

/** The part of jobs/database.ts that is used here. */
interface Queries {
  query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
}

export interface AnchorTable extends AnchorStore {
  all(): Promise<Anchor[]>;
  /** Deletes some of the anchors that are older. @returns how many */
  prune(days: number): Promise<number>;
}

export function anchorTable(database: Queries): AnchorTable {
  return {
    async add({ trail, sequence, digest, observer, recorded }) {
      // Existing rows stay: they were written by a process that knew more of that time.
      await database.query(
        `INSERT INTO ${TABLE} (trail, sequence, digest, observer, recorded_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
        [trail, sequence, digest, observer, recorded],
      );
    },
    async all() {
      const rows = await database.query<Anchor & { recorded_at: Date }>(
        `SELECT trail, sequence::float8 AS sequence, digest, observer, recorded_at FROM ${TABLE} ORDER BY recorded_at`,
      );
      return rows.map(({ recorded_at, ...anchor }) => ({ ...anchor, recorded: recorded_at.toISOString() }));
    },
    async prune(days) {
      const deleted = await database.query(
        `DELETE FROM ${TABLE} WHERE (trail, sequence) IN (
           SELECT trail, sequence FROM ${TABLE} WHERE recorded_at < now() - $1::float8 * interval '1 day'
           LIMIT ${MAX_PRUNED} FOR UPDATE SKIP LOCKED)
         RETURNING trail`,
        [days],
      );
      return deleted.length;
    },
  };
}

/**
 * Parses anchors, one per line: as printed by `audit anchors`, or syslog messages as a receiver stores them. Other
 * lines are skipped.
 */
export function parseAnchors(text: string): Anchor[] {
  return text.split('\n').flatMap((line) => {
    const begin = line.indexOf('{');
    if (begin < 0) return [];
    try {
      const json: unknown = JSON.parse(line.slice(begin));
      const event = anchorEvent.safeParse(json);
      return [anchorSchema.parse(event.success ? anchorOf(event.data) : json)];
    } catch {
      return [];
    }
  });
}

const anchorSchema = z.object({
  trail: z.string(),
  sequence: z.int(),
  digest: z.string(),
  observer: z.string(),
  recorded: z.string(),
});

/** The event that auditEvent() makes from an anchor. */
const anchorEvent = z.object({
  resourceType: z.literal('AuditEvent'),
  recorded: z.string(),
  source: z.object({ observer: z.object({ display: z.string() }) }),
  entity: z.array(
    z.object({
      type: z.object({ code: z.string().optional() }).optional(),
      what: z.object({ identifier: z.object({ value: z.string() }).optional() }).optional(),
      detail: z.array(z.object({ type: z.string(), valueString: z.string().optional() })).optional(),
    }),
  ),
});

function anchorOf({ recorded, source, entity }: z.infer<typeof anchorEvent>): unknown {
  const trail = entity.find(({ type }) => type?.code === 'trail');
  const detail = (wanted: string): string | undefined =>
    trail?.detail?.find(({ type }) => type === wanted)?.valueString;
  return {
    trail: trail?.what?.identifier?.value.replace(/^urn:uuid:/, ''),
    sequence: Number(detail('sequence')),
    digest: detail('digest'),
    observer: source.observer.display,
    recorded,
  };
}
