/**
 * Accession Number and Container Identifier of slides, by which a laboratory finds its glass. They are asked of the
 * archive as the user who exports them, and kept nowhere.
 */
import { withDeadline } from '../../../core/src/abortable.ts';
import { type ErrorCode, StainError, toStainError } from '../../../core/src/errors.ts';
import type { SearchAsUser } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { textOf } from '../dicom/json-model.ts';

export interface Identifiers {
  /** Empty if the archive does not tell. */
  readonly accession: string;
  readonly container: string;
  /** Why the archive told nothing. */
  readonly code: ErrorCode | null;
}

interface SlideAddress {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /** SOP Instance UID of the base level, if the series holds several slides. */
  readonly slide: string | null;
}

const [ACCESSION, CONTAINER] = ['00080050', '00400512'];
/** Searches made at once for one export. */
const AT_ONCE = 8;
/** Faults that are not of one slide. */
const ABSENT: readonly ErrorCode[] = [
  'ARCHIVE_UNREACHABLE',
  'ARCHIVE_TIMEOUT',
  'ARCHIVE_UNTRUSTED',
  'ARCHIVE_TLS_FAILED',
  'ARCHIVE_LOGIN_FAILED',
];
const DEADLINE = {
  seconds: 20,
  late: () => new StainError('ARCHIVE_TIMEOUT', 'The archive did not answer in time.'),
};

/** Each slide with its identifiers, in order. An archive that cannot be reached is not asked again for every other slide. */
export async function* withIdentifiers<T extends SlideAddress>(
  slides: readonly T[],
  search: SearchAsUser,
  principal: Principal,
  signal: AbortSignal,
): AsyncGenerator<{ readonly slide: T; readonly identifiers: Identifiers }, void> {
  let absence: ErrorCode | undefined;
  const identify = async (slide: T): Promise<Identifiers> => {
    if (absence) return { accession: '', container: '', code: absence };
    try {
      return await ask(slide, search, principal, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const { code } = toStainError(thrown);
      if (ABSENT.includes(code)) absence = code;
      return { accession: '', container: '', code };
    }
  };
  for (let begin = 0; begin < slides.length; begin += AT_ONCE) {
    const some = slides.slice(begin, begin + AT_ONCE);
    const found = await Promise.all(some.map(identify));
    for (const [i, slide] of some.entries()) yield { slide, identifiers: found[i]! };
  }
}

async function ask(
  { studyInstanceUid, seriesInstanceUid, slide }: SlideAddress,
  search: SearchAsUser,
  principal: Principal,
  signal: AbortSignal,
): Promise<Identifiers> {
  const query = {
    StudyInstanceUID: studyInstanceUid,
    SeriesInstanceUID: seriesInstanceUid,
    ...(slide !== null && { SOPInstanceUID: slide }),
    includefield: [ACCESSION, CONTAINER],
    limit: 1,
  };
  const [image] = await withDeadline(DEADLINE, signal, (inTime) => search(principal, query, inTime));
  if (!image) return { accession: '', container: '', code: 'SERIES_NOT_FOUND' };
  return { accession: textOf(image, ACCESSION) ?? '', container: textOf(image, CONTAINER) ?? '', code: null };
}
