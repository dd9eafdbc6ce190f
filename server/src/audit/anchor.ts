/**
 * Anchors of audit trails: how many lines there were at a time, and the digest of the last. They lie where whoever can
 * change the file cannot: in the database, and with the receiver of syslog. What was cut off later is missed by them.
 */
import type { TrailHead } from './audit-line.ts';

const TABLE = 'stain_normalization.audit_anchor';

/** Idempotent. */
const SCHEMA = `
CREATE TABLE IF NOT EXISTS ${TABLE} (
  trail uuid NOT NULL,
  sequence bigint NOT NULL,
  digest text NOT NULL,
  observer text NOT NULL,
  recorded_at timestamptz NOT NULL,
  PRIMARY KEY (trail, sequence)
);`;

export interface Anchor extends TrailHead {
  /** The process that writes the trail. */
  readonly observer: string;
  /** ISO 8601. */
  readonly recorded: string;
}

export interface AnchorStore {
  add(anchor: Anchor): Promise<void>;
}

/** The part of jobs/database.ts that is needed. */
interface Queries {
  query<Row>(sql: string, values?: readonly unknown[]): Promise<Row[]>;
  define(sql: string): Promise<void>;
}

export async function openAnchorTable(
  database: Queries,
): Promise<AnchorStore & { all(): Promise<Anchor[]> }> {
  await database.define(SCHEMA);
  return {
    async add({ trail, sequence, digest, observer, recorded }) {
      // What is there stays: it was written by a process that knew more of that time.
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
  };
}

/**
 * From text with one a line: anchors as `audit anchors` prints them, or messages of syslog as a receiver keeps them. Other
 * lines are passed over.
 */
export function parseAnchors(text: string): Anchor[] {
  return text.split('\n').flatMap((line) => {
    const begin = line.indexOf('{');
    if (begin < 0) return [];
    try {
      const json = JSON.parse(line.slice(begin));
      const anchor = json.resourceType === 'AuditEvent' ? anchorOf(json) : json;
      return isAnchor(anchor) ? [anchor] : [];
    } catch {
      return [];
    }
  });
}

/** Of the event that auditEvent() makes of an anchor. */
function anchorOf(event: any): unknown {
  const entity = event.entity?.find((one: any) => one.type?.code === 'trail');
  const detail = (type: string): string | undefined =>
    entity?.detail?.find((one: any) => one.type === type)?.valueString;
  return {
    trail: entity?.what?.identifier?.value?.replace(/^urn:uuid:/, ''),
    sequence: Number(detail('sequence')),
    digest: detail('digest'),
    observer: event.source?.observer?.display,
    recorded: event.recorded,
  };
}

function isAnchor(value: any): value is Anchor {
  return (
    ['trail', 'digest', 'observer', 'recorded'].every((name) => typeof value?.[name] === 'string') &&
    Number.isSafeInteger(value.sequence)
  );
}
