/** Which media types of an archive's answers a browser may see on our origin. */
import { parseMediaType } from '../dicomweb/media-type.ts';

/** Pixels and sound, data sets, files; nothing that a browser shows as a page, or runs as a script or a style sheet. */
const KEPT = [
  /^(image|video|audio)\/[\w.-]+$/,
  /^application\/(dicom|octet-stream|pdf|json|[\w.-]+\+json)$/,
  /^text\/plain$/,
  /^multipart\/related$/,
];

/** Instead of a type that is none of these: text stays readable, all else is bytes. */
export function harmlessType(contentType: string): string {
  const { essence } = parseMediaType(contentType);
  if (KEPT.some((form) => form.test(essence))) return contentType;
  return essence.startsWith('text/') ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}
