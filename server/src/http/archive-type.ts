/** Which media types of an archive's responses a browser may receive on our origin. */
import { parseMediaType } from '../dicomweb/media-type.ts';

/** Pixels and sound, data sets, files; nothing that a browser renders as a page, or runs as a script or style sheet. */
const KEPT = [
  /^(image|video|audio)\/[\w.-]+$/,
  /^application\/(dicom|octet-stream|pdf|json|[\w.-]+\+json)$/,
  /^text\/plain$/,
  /^multipart\/related$/,
];

/** Replaces any other type: text stays readable, everything else becomes bytes. */
export function harmlessType(contentType: string): string {
  const { essence } = parseMediaType(contentType);
  if (KEPT.some((form) => form.test(essence))) return contentType;
  return essence.startsWith('text/') ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}
