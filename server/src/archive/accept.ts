/** Content negotiation (PS3.18 8.7): what the client accepts against what the file contains. */

import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { StainError } from '../../../core/src/errors.ts';
import { includesType, parseAccept } from '../dicomweb/accept-list.ts';

export interface FrameAnswer {
  readonly multipart: boolean;
  /** Content type of a frame, including its transfer syntax. */
  readonly contentType: string;
  /** True if the client accepts only uncompressed pixels. */
  readonly native: boolean;
}

const OCTET_STREAM = 'application/octet-stream';

/**
 * Frames are sent as stored whenever the client accepts that: the first matching member of its list decides. Only
 * `application/octet-stream` without a transfer syntax means uncompressed pixels.
 * @param count several frames take a multipart answer
 * @throws NOT_ACCEPTABLE
 */
export function negotiateFrames(
  accept: string | undefined,
  transferSyntaxUid: string,
  count: number,
): FrameAnswer {
  const media = transferSyntax(transferSyntaxUid).mediaType;
  const list = parseAccept(accept).filter(({ multipart }) => multipart || count === 1);
  for (const member of list) {
    const { multipart, type, transferSyntax } = member;
    const fits =
      transferSyntax === undefined || transferSyntax === '*' || transferSyntax === transferSyntaxUid;
    if (fits && includesType(member, media))
      return { multipart, contentType: withSyntax(media, transferSyntaxUid), native: true };
    if (type === OCTET_STREAM && fits && transferSyntax !== undefined)
      return { multipart, contentType: withSyntax(OCTET_STREAM, transferSyntaxUid), native: true };
  }
  const raw = list.find(
    (member) =>
      includesType(member, OCTET_STREAM) &&
      (member.transferSyntax === undefined || member.transferSyntax === EXPLICIT_VR_LITTLE_ENDIAN),
  );
  if (raw)
    return {
      multipart: raw.multipart,
      contentType: withSyntax(OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN),
      native: false,
    };
  throw new StainError(
    'NOT_ACCEPTABLE',
    `Frames are stored as ${withSyntax(media, transferSyntaxUid)}; request that, or transfer-syntax=*${count === 1 ? '' : ', and several of them as multipart/related'}.`,
  );
}

/**
 * Instances are sent as stored; a request without a transfer syntax accepts that. Those of a series may differ, and
 * each may be accepted by another member of the list.
 * @returns whether to answer in multipart/related
 * @throws NOT_ACCEPTABLE if another media type or transfer syntax is requested
 */
export function negotiateInstances(
  accept: string | undefined,
  transferSyntaxUids: readonly string[],
): { multipart: boolean } {
  const members = parseAccept(accept).filter(
    (member) =>
      includesType(member, 'application/dicom') && (member.multipart || transferSyntaxUids.length === 1),
  );
  const accepting = transferSyntaxUids.map((uid) =>
    members.find(({ transferSyntax }) => [undefined, '*', uid].includes(transferSyntax)),
  );
  const [found] = accepting;
  if (!found || accepting.includes(undefined))
    throw new StainError(
      'NOT_ACCEPTABLE',
      'Instances are available only as application/dicom, in their stored transfer syntax.',
    );
  return { multipart: found.multipart };
}

const DATA_SETS = 'application/dicom+json';

/** Data sets are always JSON, for clients that accept `application/json` too. @throws NOT_ACCEPTABLE */
export function requireDataSetsAccepted(accept: string | undefined): void {
  const accepts = [DATA_SETS, 'application/json'];
  if (!parseAccept(accept).some((member) => accepts.some((type) => includesType(member, type))))
    throw new StainError('NOT_ACCEPTABLE', `Data sets are available only as ${DATA_SETS}.`);
}

/** Bulk data is always one octet stream. @throws NOT_ACCEPTABLE */
export function negotiateBulkData(accept: string | undefined): { multipart: boolean } {
  const found = parseAccept(accept).find((member) => includesType(member, OCTET_STREAM));
  if (!found)
    throw new StainError('NOT_ACCEPTABLE', 'Bulk data is available only as application/octet-stream.');
  return { multipart: found.multipart };
}

/** @throws NOT_ACCEPTABLE */
export function negotiateRendered(accept: string | undefined): 'image/jpeg' | 'image/png' {
  for (const member of parseAccept(accept))
    for (const offered of ['image/jpeg', 'image/png'] as const)
      if (includesType(member, offered)) return offered;
  throw new StainError('NOT_ACCEPTABLE', 'Rendered images are available only as image/jpeg or image/png.');
}

function withSyntax(type: string, transferSyntaxUid: string): string {
  return `${type}; transfer-syntax=${transferSyntaxUid}`;
}
