/** Which requests are the same work. */
import { createHash } from 'node:crypto';
import type { NormalizationRequest } from '../normalization/types.ts';

/** Content of what a request names: the same name may stand for something else tomorrow. */
export interface Fingerprint {
  /** Of the SOP Instance UIDs of the source series. */
  readonly sourceSha256: string;
  readonly templateSha256: string;
  readonly modelSha256: string;
  /** The rules by which pixels are moved may change with it. */
  readonly softwareVersion: string;
}

/** SHA-256 over everything that decides the derived pixels. */
export function jobKey(request: NormalizationRequest, fingerprint: Fingerprint): string {
  const parts = [
    request.studyInstanceUid,
    request.seriesInstanceUid,
    fingerprint.sourceSha256,
    fingerprint.softwareVersion,
    request.template,
    fingerprint.templateSha256,
    request.model,
    fingerprint.modelSha256,
    request.encoding,
    // Lossless encodings have no quality.
    request.encoding === 'jpeg' ? request.quality : null,
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
