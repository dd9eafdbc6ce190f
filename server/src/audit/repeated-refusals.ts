/**
 * Summarises repeated refusals: the same user or address, code and route within a minute. The first is recorded at
 * once, the rest as one record with their number. A flood can neither fill the disk nor crowd out others: the table is
 * bounded, known users have a table of their own, and whatever does not fit is counted together.
 */
import type { AuditEntry } from './audit-event.ts';

const WINDOW_MS = 60_000;
/**
 * There are few users with a valid token. Addresses without one are as many as an attacker likes, each with two records
 * a minute.
 */
const MAX_KNOWN = 1000;
const MAX_UNKNOWN = 100;
/** Maximum number of studies named in one record. */
const MAX_STUDIES = 50;

/** Code for whatever does not fit into the table. */
const OTHERS = 'FURTHER_REFUSALS';

interface Repeated {
  /** What all of them share. */
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
    const hasRoom = table.size < (isKnown ? MAX_KNOWN : MAX_UNKNOWN);
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

  /** Records what was counted; the next refusal of each kind is recorded at once again. */
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
    // Keep which studies a user tried to see; what strangers write into URLs is worthless.
    if (principal !== undefined && studyInstanceUid !== undefined && repeated.studies.size < MAX_STUDIES)
      repeated.studies.add(studyInstanceUid);
  }
}

function counted(common: AuditEntry): Repeated {
  return { common, studies: new Set(), count: 0, from: '', to: '' };
}
