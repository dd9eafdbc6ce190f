/**
 * The current state of a series in the archive, in a few bytes: its patient and study, and its instances. Computed
 * results are valid as long as it stays the same.
 */
import { LRUCache } from 'lru-cache';
import { untilAborted } from '../../../core/src/abortable.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { sha256 } from '../pipeline/series-identity.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';

/** Attributes that a correction changes, and those that distinguish instances. */
// biome-ignore format: a list
const WATCHED = {
  AccessionNumber: '00080050', StudyDate: '00080020', StudyTime: '00080030', StudyDescription: '00081030',
  ReferringPhysicianName: '00080090', PatientName: '00100010', PatientID: '00100020', PatientBirthDate: '00100030',
  IssuerOfPatientID: '00100021', PatientSex: '00100040', PatientAge: '00101010', ContainerIdentifier: '00400512', StudyID: '00200010', SeriesNumber: '00200011', SeriesDescription: '0008103E',
  SOPInstanceUID: '00080018', NumberOfFrames: '00280008',
};

const MAX_KEPT = 10_000;
/** An archive that does not answer delays those who read its slides for no longer than this. */
const TIMEOUT_MS = 30_000;

export class SourceStates {
  readonly #source: Pick<DicomWebClient, 'searchInstances'>;
  readonly #kept: LRUCache<string, Promise<string>>;

  /** @param holdsMs how long an answer of the archive is reused */
  constructor(source: Pick<DicomWebClient, 'searchInstances'>, holdsMs: number) {
    this.#source = source;
    this.#kept = new LRUCache({ max: MAX_KEPT, ttl: holdsMs });
  }

  /** @throws SERIES_NOT_FOUND if the series is no longer in the archive, and errors of the archive */
  of(series: SeriesReference, signal: AbortSignal): Promise<string> {
    const key = `${series.studyInstanceUid} ${series.seriesInstanceUid}`;
    const kept = this.#kept.get(key);
    if (kept) return untilAborted(kept, signal);
    const asked = this.#ask(series);
    this.#kept.set(key, asked);
    // A query that failed is repeated next time.
    asked.catch(() => this.#kept.delete(key));
    return untilAborted(asked, signal);
  }

  async #ask({ studyInstanceUid, seriesInstanceUid }: SeriesReference): Promise<string> {
    const parameters = {
      StudyInstanceUID: studyInstanceUid,
      SeriesInstanceUID: seriesInstanceUid,
      includefield: Object.keys(WATCHED),
    };
    const found = await this.#source.searchInstances(parameters, AbortSignal.timeout(TIMEOUT_MS));
    if (found.length === 0)
      throw new StainError('SERIES_NOT_FOUND', 'The slide is no longer in the archive.');
    const states = found.map((json) =>
      JSON.stringify(Object.values(WATCHED).map((tag) => json[tag]?.Value ?? null)),
    );
    return sha256(states.sort());
  }
}
