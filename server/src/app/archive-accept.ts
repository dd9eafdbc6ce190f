/** What the archive is asked for: media types of our own words, chosen after what the client accepts. */
import { isUid } from '../dicom/uid.ts';
import { parseAccept } from '../dicomweb/accept-list.ts';
import type { Habits, OtherWays } from '../dicomweb/archive-habits.ts';
import { OTHER_JSON } from '../dicomweb/connection.ts';
import { FRAMES_ACCEPT, OTHER_FRAMES } from '../dicomweb/named-syntaxes.ts';
import type { ResourceKind } from '../dicomweb/resource.ts';
import { StainError } from '../errors.ts';

const DICOM_JSON = 'application/dicom+json';

const JSON_TYPES = ['*/*', 'application/*', 'application/json', DICOM_JSON];

/** PS3.18 8.7.3 and 8.7.4, without what holds addresses (XML) and what browsers run (HTML). */
// biome-ignore format: a list
const BINARY_TYPES: readonly string[] = [
  '*/*', 'image/*', 'video/*', 'application/dicom', 'application/octet-stream', 'application/pdf', 'text/plain',
  'image/jpeg', 'image/png', 'image/gif', 'image/jp2', 'image/jpx', 'image/jls', 'image/x-jls', 'image/jphc', 'image/jxl',
  'image/dicom-rle', 'image/x-dicom-rle', 'video/mpeg', 'video/mpeg2', 'video/mp4', 'video/h265',
];

const MAX_MEMBERS = 32;

export interface AcceptWays {
  /** Values of the header, the best first, and the habit of an archive that takes it. */
  readonly ways: readonly { readonly accept: string; readonly habit: Partial<Habits> }[];
  /** Statuses after which the next one is tried. */
  readonly refusals: ReadonlySet<number>;
}

/**
 * The best way first, and the others for an archive that refuses it. Data sets come as JSON, the one form whose addresses can
 * be replaced (rewrite-bulk-data.ts), and frames as they are stored: OHIF sends a list, which Orthanc 1.10 answers with
 * uncompressed frames, after decoding the whole instance for each.
 * @param accepted what the client sent: the parameter of the query before the header (PS3.18 8.3.3.1)
 * @throws NOT_ACCEPTABLE
 */
export function acceptWays(kind: ResourceKind, accepted: string | undefined, known: Habits): AcceptWays {
  if (kind === 'frames') return waysOf(OTHER_FRAMES, known, ({ frames }) => FRAMES_ACCEPT[frames]);
  // What was stored is told in JSON whatever is asked for: nobody sends a slide again for the form of the answer.
  if (kind === 'store') return only(known.json);
  if (kind !== 'search' && kind !== 'metadata') return only(binaryAccept(accepted));
  const list = parseAccept(accepted).slice(0, MAX_MEMBERS);
  if (!list.some(({ type }) => JSON_TYPES.includes(type)))
    throw new StainError('NOT_ACCEPTABLE', `Data sets are sent as ${DICOM_JSON}.`);
  return waysOf(OTHER_JSON, known, ({ json }) => json);
}

function only(accept: string): AcceptWays {
  return { ways: [{ accept, habit: {} }], refusals: new Set() };
}

function waysOf(
  { ways, refusals }: OtherWays,
  known: Habits,
  acceptOf: (habits: Habits) => string,
): AcceptWays {
  const all = [{}, ...ways(known)];
  return { ways: all.map((habit) => ({ accept: acceptOf({ ...known, ...habit }), habit })), refusals };
}

function binaryAccept(accepted: string | undefined): string {
  const list = parseAccept(accepted).slice(0, MAX_MEMBERS);
  const asked = list
    .filter(({ type }) => BINARY_TYPES.includes(type))
    .map(({ multipart, type, transferSyntax }) => {
      const media = multipart && type !== '*/*' ? `multipart/related; type="${type}"` : type;
      const hasSyntax = transferSyntax === '*' || isUid(transferSyntax);
      return hasSyntax ? `${media}; transfer-syntax=${transferSyntax}` : media;
    });
  if (asked.length > 0) return asked.join(', ');
  throw new StainError('NOT_ACCEPTABLE', 'Instances, pictures and bulk data are sent as binary media types.');
}
