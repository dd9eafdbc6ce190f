/**
 * Sums up refusals that repeat themselves: the same person or address, code and route within a minute. The first is
 * recorded at once, the others as one record with their number. A flood fills neither the disk nor the place of others:
 * the table is bounded, those who are known have one of their own, and what finds no room is counted together.
 */
import type { AuditEntry } from './audit-event.ts';

const WINDOW_MS = 60_000;
/** Users with a valid token are few. Addresses without one are as many as somebody likes, each with two records a minute. */
const MOST_KNOWN = 1000;
const MOST_UNKNOWN = 100;

interface Repeated {
  readonly first: AuditEntry;
  count: number;
  from: string;
  to: string;
}

export class RepeatedRefusals {
  readonly #write: (entry: AuditEntry) => void;
  readonly #tables = { known: new Map<string, Repeated>(), unknown: new Map<string, Repeated>() };
  #sweep: NodeJS.Timeout | undefined;

  /** @param write records an entry */
  constructor(write: (entry: AuditEntry) => void) {
    this.#write = write;
  }

  add(entry: AuditEntry): void {
    const isKnown = entry.principal !== undefined;
    const table = isKnown ? this.#tables.known : this.#tables.unknown;
    const { principal, address, code, method, route } = entry;
    const key = JSON.stringify([principal ?? address, code, method, route]);
    const known = table.get(key);
    const now = new Date().toISOString();
    if (known) this.#count(known, now);
    else if (table.size < (isKnown ? MOST_KNOWN : MOST_UNKNOWN)) {
      table.set(key, { first: entry, count: 0, from: now, to: now });
      this.#write(entry);
    } else this.#countOthers(table, entry, now);
    this.#sweep ??= setInterval(() => this.flush(), WINDOW_MS).unref();
  }

  /** Records what has been counted; the next refusal of each kind is recorded at once again. */
  flush(): void {
    for (const table of Object.values(this.#tables)) {
      for (const { first, count, from, to } of table.values())
        if (count > 0) this.#write({ ...first, count, from, to });
      table.clear();
    }
  }

  close(): void {
    clearInterval(this.#sweep);
    this.flush();
  }

  #count(repeated: Repeated, now: string): void {
    if (repeated.count === 0) repeated.from = now;
    repeated.count++;
    repeated.to = now;
  }

  #countOthers(table: Map<string, Repeated>, { event, outcome }: AuditEntry, now: string): void {
    const others = table.get('others') ?? {
      first: { event, outcome, code: 'FURTHER_REFUSALS' },
      count: 0,
      from: now,
      to: now,
    };
    table.set('others', others);
    this.#count(others, now);
  }
}
