/** What the archive is asked for: media types of our own words, chosen after what the client accepts. */
import { isUid } from '../dicom/uid.ts';
import { parseAccept } from '../dicomweb/accept-list.ts';
import type { ResourceKind } from '../dicomweb/resource.ts';
import { StainError } from '../errors.ts';

const DICOM_JSON = 'application/dicom+json';

/**
 * As they are stored. OHIF sends a list, which Orthanc 1.10 answers with uncompressed frames, after decoding the whole
 * instance for each.
 */
const STORED_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*';

const JSON_TYPES = ['*/*', 'application/*', 'application/json', DICOM_JSON];

/** PS3.18 8.7.3 and 8.7.4, without what holds addresses (XML) and what browsers run (HTML). */
// biome-ignore format: a list
const BINARY_TYPES: readonly string[] = [
  '*/*', 'image/*', 'video/*', 'application/dicom', 'application/octet-stream', 'application/pdf', 'text/plain',
  'image/jpeg', 'image/png', 'image/gif', 'image/jp2', 'image/jpx', 'image/jls', 'image/x-jls', 'image/jphc', 'image/jxl',
  'image/dicom-rle', 'image/x-dicom-rle', 'video/mpeg', 'video/mpeg2', 'video/mp4', 'video/h265',
];

const MAX_MEMBERS = 32;

/**
 * Data sets come as JSON, the one form whose addresses can be replaced (rewrite-bulk-data.ts).
 * @param accepted what the client sent: the parameter of the query before the header (PS3.18 8.3.3.1)
 * @throws NOT_ACCEPTABLE
 */
export function acceptOf(kind: ResourceKind, accepted: string | undefined): string {
  if (kind === 'frames') return STORED_FRAMES;
  // What was stored is told in JSON whatever is asked for: nobody sends a slide again for the form of the answer.
  if (kind === 'store') return DICOM_JSON;
  const list = parseAccept(accepted).slice(0, MAX_MEMBERS);
  if (kind === 'search' || kind === 'metadata') {
    if (list.some(({ type }) => JSON_TYPES.includes(type))) return DICOM_JSON;
    throw new StainError('NOT_ACCEPTABLE', `Data sets are sent as ${DICOM_JSON}.`);
  }
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
