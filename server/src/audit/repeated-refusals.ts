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
/** Named in one record. */
const MOST_STUDIES = 50;

/** What finds no room in the table. */
const OTHERS = 'FURTHER_REFUSALS';

interface Repeated {
  /** What all of them have in common. */
  readonly common: AuditEntry;
  readonly studies: Set<string>;
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
    const { event, outcome, principal, address, code, method, route } = entry;
    const isKnown = principal !== undefined;
    const table = isKnown ? this.#tables.known : this.#tables.unknown;
    const key = JSON.stringify([principal ?? address, code, method, route]);
    const before = table.get(key);
    const hasRoom = table.size < (isKnown ? MOST_KNOWN : MOST_UNKNOWN);
    if (before) this.#count(before, entry);
    else if (hasRoom) {
      table.set(key, counted({ event, outcome, principal, address, code, method, route }));
      this.#write(entry);
    } else {
      const others = table.get(OTHERS) ?? counted({ event, outcome, code: OTHERS });
      table.set(OTHERS, others);
      this.#count(others, entry);
    }
    this.#sweep ??= setInterval(() => this.flush(), WINDOW_MS).unref();
  }

  /** Records what has been counted; the next refusal of each kind is recorded at once again. */
  flush(): void {
    for (const table of Object.values(this.#tables)) {
      for (const { common, studies, count, from, to } of table.values())
        if (count > 0) this.#write({ ...common, studies: [...studies], count, from, to });
      table.clear();
    }
  }

  close(): void {
    clearInterval(this.#sweep);
    this.flush();
  }

  #count(repeated: Repeated, { principal, studyInstanceUid }: AuditEntry): void {
    const now = new Date().toISOString();
    if (repeated.count === 0) repeated.from = now;
    repeated.count++;
    repeated.to = now;
    // Whose slides a user has tried to see; what strangers write into addresses is worth nothing.
    if (principal !== undefined && studyInstanceUid !== undefined && repeated.studies.size < MOST_STUDIES)
      repeated.studies.add(studyInstanceUid);
  }
}

function counted(common: AuditEntry): Repeated {
  return { common, studies: new Set(), count: 0, from: '', to: '' };
}
