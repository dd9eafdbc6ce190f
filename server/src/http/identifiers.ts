/**
 * Accession Number and Container Identifier of slides, by which a laboratory finds its glass. They are asked of the
 * archive as the user who exports them, and kept nowhere.
 */
import { withDeadline } from '../../../core/src/abortable.ts';
import { type ErrorCode, StainError, toStainError } from '../../../core/src/errors.ts';
import type { Principal } from '../auth/principal.ts';
import { type DicomJson, textOf } from '../dicom/json-model.ts';
import type { SearchOptions, SearchParameters } from '../dicomweb/client.ts';

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
  /** Archive of the slide; missing: the default one. */
  readonly source?: string | null;
}

/** Searches an archive for instances as a user. */
export type SearchInstances = (
  principal: Principal,
  parameters: SearchParameters,
  signal: AbortSignal,
  options: SearchOptions & { readonly source?: string | undefined },
) => Promise<DicomJson[]>;

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
  search: SearchInstances,
  principal: Principal,
  signal: AbortSignal,
): AsyncGenerator<{ readonly slide: T; readonly identifiers: Identifiers }, void> {
  const absences = new Map<string | null, ErrorCode>();
  const identify = async (slide: T): Promise<Identifiers> => {
    const { source = null } = slide;
    const absence = absences.get(source);
    if (absence) return { accession: '', container: '', code: absence };
    try {
      return await ask(slide, search, principal, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const { code } = toStainError(thrown);
      if (ABSENT.includes(code)) absences.set(source, code);
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
  { studyInstanceUid, seriesInstanceUid, slide, source }: SlideAddress,
  search: SearchInstances,
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
  const [image] = await withDeadline(DEADLINE, signal, (inTime) =>
    search(principal, query, inTime, { source: source ?? undefined }),
  );
  if (!image) return { accession: '', container: '', code: 'SERIES_NOT_FOUND' };
  return { accession: textOf(image, ACCESSION) ?? '', container: textOf(image, CONTAINER) ?? '', code: null };
}
