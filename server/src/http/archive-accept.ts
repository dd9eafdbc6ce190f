/** Media types to request from the archive: our own strings, chosen by what the client accepts. */

import { StainError } from '../../../core/src/errors.ts';
import { requireDataSetsAccepted } from '../archive/accept.ts';
import { isUid } from '../dicom/uid.ts';
import { includesType, parseAccept } from '../dicomweb/accept-list.ts';
import type { Habits, OtherWays } from '../dicomweb/archive-habits.ts';
import { OTHER_JSON } from '../dicomweb/connection.ts';
import { FRAMES_ACCEPT, OTHER_FRAMES } from '../dicomweb/named-syntaxes.ts';
import type { ResourceKind } from '../dicomweb/query-parameters.ts';

/** PS3.18 8.7.3 and 8.7.4, without types that contain URLs (XML) and types that browsers execute (HTML). */
// biome-ignore format: a list
const BINARY_TYPES: readonly string[] = [
  '*/*', 'image/*', 'video/*', 'application/dicom', 'application/octet-stream', 'application/pdf', 'text/plain',
  'image/jpeg', 'image/png', 'image/gif', 'image/jp2', 'image/jpx', 'image/jls', 'image/x-jls', 'image/jphc', 'image/jxl',
  'image/dicom-rle', 'image/x-dicom-rle', 'video/mpeg', 'video/mpeg2', 'video/mp4', 'video/h265',
];

const MAX_MEMBERS = 32;

export interface AcceptWays {
  /** Values of the Accept header, best first, each with the archive habit that it belongs to. */
  readonly ways: readonly { readonly accept: string; readonly habit: Partial<Habits> }[];
  /** Statuses after which the next value is tried. */
  readonly refusals: ReadonlySet<number>;
}

/**
 * The preferred value first, then alternatives for an archive that refuses it. Data sets are requested as JSON, the
 * only form in which URLs can be replaced (rewrite-bulk-data.ts), and frames as stored: OHIF sends a list, and Orthanc
 * 1.10 answers it with uncompressed frames, after decoding the whole instance for each.
 * @param accepted what the client sent: the query parameter takes precedence over the header (PS3.18 8.3.3.1)
 * @throws NOT_ACCEPTABLE
 */
export function acceptWays(kind: ResourceKind, accepted: string | undefined, known: Habits): AcceptWays {
  if (kind === 'frames') return waysOf(OTHER_FRAMES, known, ({ frames }) => FRAMES_ACCEPT[frames]);
  // The response to a store request is always JSON: nobody should have to resend a slide because of the response
  // format.
  if (kind === 'store') return only(known.json);
  const picture = kind === 'rendered' || kind === 'thumbnail' ? anyPicture(accepted) : undefined;
  if (picture) return only(picture);
  if (kind !== 'search' && kind !== 'metadata') return only(binaryAccept(accepted));
  requireDataSetsAccepted(accepted);
  return waysOf(OTHER_JSON, known, ({ json }) => json);
}

/**
 * One type for a list with wildcards, as browsers send for a picture of a page: Orthanc refuses such a list, and an archive
 * need not know what a list excludes from its wildcard. JPEG is the default (PS3.18 8.7.4).
 */
function anyPicture(accepted: string | undefined): string | undefined {
  const list = parseAccept(accepted);
  const isAny = list.some(
    ({ type, excluded }) => type === 'image/*' || (type === '*/*' && excluded.size > 0),
  );
  if (!isAny) return undefined;
  const pictures = list.map((member) =>
    ['image/jpeg', 'image/png'].find((offered) => includesType(member, offered)),
  );
  return pictures.find((picture) => picture !== undefined);
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
  throw new StainError(
    'NOT_ACCEPTABLE',
    'Instances, pictures and bulk data are available only as binary media types.',
  );
}
