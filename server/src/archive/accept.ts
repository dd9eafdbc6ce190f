/** Which media type an answer takes (PS3.18 8.7): what the client accepts against what the file holds. */

import { parseAccept } from '../dicomweb/accept-list.ts';
import { StainError } from '../errors.ts';

export interface FrameAnswer {
  readonly multipart: boolean;
  /** Content type of a frame, with its transfer syntax. */
  readonly contentType: string;
  /** False: the client takes only uncompressed pixels. */
  readonly native: boolean;
}

const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
const OCTET_STREAM = 'application/octet-stream';

/** PS3.18 table 8.7.3-5. */
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '1.2.840.10008.1.2.4.50': 'image/jpeg',
  '1.2.840.10008.1.2.4.51': 'image/jpeg',
  '1.2.840.10008.1.2.4.57': 'image/jpeg',
  '1.2.840.10008.1.2.4.70': 'image/jpeg',
  '1.2.840.10008.1.2.4.80': 'image/jls',
  '1.2.840.10008.1.2.4.81': 'image/jls',
  '1.2.840.10008.1.2.4.90': 'image/jp2',
  '1.2.840.10008.1.2.4.91': 'image/jp2',
  '1.2.840.10008.1.2.4.92': 'image/jpx',
  '1.2.840.10008.1.2.4.93': 'image/jpx',
  '1.2.840.10008.1.2.4.201': 'image/jphc',
  '1.2.840.10008.1.2.4.202': 'image/jphc',
  '1.2.840.10008.1.2.4.203': 'image/jphc',
  '1.2.840.10008.1.2.5': 'image/dicom-rle',
};

/**
 * Frames go out as stored wherever the client lets them: the first member of its list that fits decides.
 * Only `application/octet-stream` without a transfer syntax means uncompressed pixels.
 * @throws NOT_ACCEPTABLE
 */
export function negotiateFrames(accept: string | undefined, transferSyntaxUid: string): FrameAnswer {
  const media = MEDIA_TYPES[transferSyntaxUid] ?? OCTET_STREAM;
  const list = parseAccept(accept);
  for (const { multipart, type, transferSyntax } of list) {
    const fits =
      transferSyntax === undefined || transferSyntax === '*' || transferSyntax === transferSyntaxUid;
    if (fits && isAnyOf(type, media))
      return { multipart, contentType: withSyntax(media, transferSyntaxUid), native: true };
    if (type === OCTET_STREAM && fits && transferSyntax !== undefined)
      return { multipart, contentType: withSyntax(OCTET_STREAM, transferSyntaxUid), native: true };
  }
  const raw = list.find(
    ({ type, transferSyntax }) =>
      isAnyOf(type, OCTET_STREAM) &&
      (transferSyntax === undefined || transferSyntax === EXPLICIT_LITTLE_ENDIAN),
  );
  if (raw)
    return {
      multipart: raw.multipart,
      contentType: withSyntax(OCTET_STREAM, EXPLICIT_LITTLE_ENDIAN),
      native: false,
    };
  throw new StainError(
    'NOT_ACCEPTABLE',
    `Frames are stored as ${withSyntax(media, transferSyntaxUid)}; ask for it or for transfer-syntax=*.`,
  );
}

/**
 * Instances go out as stored; one that asks for no transfer syntax is content with it.
 * @returns whether to answer in multipart/related
 * @throws NOT_ACCEPTABLE where another media type or transfer syntax is asked for
 */
export function negotiateInstances(
  accept: string | undefined,
  transferSyntaxUids: readonly string[],
): { multipart: boolean } {
  const found = parseAccept(accept).find(
    ({ type, transferSyntax, multipart }) =>
      isAnyOf(type, 'application/dicom') &&
      (multipart || transferSyntaxUids.length === 1) &&
      (transferSyntax === undefined ||
        transferSyntax === '*' ||
        transferSyntaxUids.every((uid) => uid === transferSyntax)),
  );
  if (!found)
    throw new StainError(
      'NOT_ACCEPTABLE',
      'Instances are sent as application/dicom in the transfer syntax they are stored in.',
    );
  return { multipart: found.multipart };
}

/** Bulk data is one octet stream. @throws NOT_ACCEPTABLE */
export function negotiateBulkData(accept: string | undefined): { multipart: boolean } {
  const found = parseAccept(accept).find(({ type }) => isAnyOf(type, OCTET_STREAM));
  if (!found) throw new StainError('NOT_ACCEPTABLE', 'Bulk data is sent as application/octet-stream.');
  return { multipart: found.multipart };
}

/** @throws NOT_ACCEPTABLE */
export function negotiateRendered(accept: string | undefined): 'image/jpeg' | 'image/png' {
  for (const { type } of parseAccept(accept))
    for (const offered of ['image/jpeg', 'image/png'] as const) if (isAnyOf(type, offered)) return offered;
  throw new StainError('NOT_ACCEPTABLE', 'Rendered images are sent as image/jpeg or image/png.');
}

/** Whether an accepted type, which may have wildcards, takes an offered one. */
function isAnyOf(accepted: string, offered: string): boolean {
  return (
    accepted === '*/*' ||
    accepted === offered ||
    (accepted.endsWith('/*') && offered.startsWith(accepted.slice(0, -1)))
  );
}

function withSyntax(type: string, transferSyntaxUid: string): string {
  return `${type}; transfer-syntax=${transferSyntaxUid}`;
}
