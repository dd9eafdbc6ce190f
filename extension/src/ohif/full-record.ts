/** The record of a run that the service stores in the private block of derived images: JSON, written by any version. */

export interface FullRecord {
  /** Time of the request, ISO 8601. */
  readonly madeAt: string | null;
  readonly encoding: string | null;
  /** 1 to 100, of JPEG. */
  readonly quality: number | null;
  readonly executionProvider: string | null;
  readonly fit: RecordedFit | null;
  /** In the service's words. */
  readonly notes: readonly string[];
}

/** Quality of the fit of the source's stain. */
export interface RecordedFit {
  readonly sampledTiles: number;
  readonly tissueFraction: number;
  /** Whether it looks like H&E: he, unsure or other; null if the version did not check. */
  readonly verdict: string | null;
}

/** @param json null if a header has none. Returns null if it cannot be read */
export function fullRecordOf(json: string | null): FullRecord | null {
  let record: unknown;
  try {
    record = JSON.parse(json ?? 'null');
  } catch {
    return null;
  }
  if (!(record instanceof Object)) return null;
  const [identity, request, facts] = ['identity', 'request', 'facts'].map((name) => member(record, name));
  const notes = member(record, 'notes');
  const encoding = word(member(request, 'encoding'));
  return {
    madeAt: word(member(identity, 'createdAt')),
    encoding,
    quality: encoding === 'jpeg' ? number(member(request, 'quality')) : null,
    executionProvider: word(member(facts, 'executionProvider')),
    fit: fitOf(member(facts, 'fit')),
    notes: Array.isArray(notes) ? notes.filter((note) => typeof note === 'string') : [],
  };
}

function fitOf(fit: unknown): RecordedFit | null {
  const [sampledTiles, tissueFraction] = [
    number(member(fit, 'sampledTiles')),
    number(member(fit, 'tissueFraction')),
  ];
  if (sampledTiles === null || tissueFraction === null) return null;
  return { sampledTiles, tissueFraction, verdict: word(member(member(fit, 'outOfDistribution'), 'verdict')) };
}

function member(value: unknown, name: string): unknown {
  return value instanceof Object ? (value as Record<string, unknown>)[name] : undefined;
}

function word(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
