/**
 * Which derived series a request means. The same request is the same series, whoever makes it: the service, the command line,
 * a rule. Everything that decides its bytes is in its UID, so other bytes never go under a used one.
 */
import { createHash } from 'node:crypto';
import { nameBasedUuid } from '../dicom/uid.ts';
import { StainError } from '../errors.ts';
import type { Slide } from '../slide/types.ts';
import { imagesOf } from './open-series.ts';
import type { NormalizationRequest, SeriesIdentity } from './types.ts';

/** Namespace of the UUIDs that are made here (RFC 9562 section 5.5). */
const NAMESPACE = 'c0a6a4e5-6d0b-4f0f-9c56-0d7d6b1b3f5e';

/**
 * Another number whenever the same request, model and template come to make other bytes: what was stored before is another series, and
 * what lies half-made in a spool is begun anew. 2: with `linear` every level is its own source.
 */
export const PIPELINE_VERSION = 2;

/** Content of what a request names: the same name may stand for something else tomorrow. */
export interface Fingerprint {
  /** `sourceSha256` of the slide. */
  readonly sourceSha256: string;
  /** `slideUid` of the slide. */
  readonly slideUid?: string | undefined;
  readonly templateSha256: string;
  readonly modelSha256: string;
  /** Of the software and the settings by which pixels are moved and encoded. */
  readonly pipelineSha256: string;
}

/** A request with content: two are one series where they are equal in both, and revisions of one in `lineage`. */
export interface SeriesContent {
  /** SHA-256 of all but the instances of the source, which may come in parts or be replaced. */
  readonly lineage: string;
  /** SHA-256 of everything. */
  readonly content: string;
}

export function seriesContent(request: NormalizationRequest, fingerprint: Fingerprint): SeriesContent {
  const lineage = sha256([
    request.studyInstanceUid,
    request.seriesInstanceUid,
    request.template,
    fingerprint.templateSha256,
    request.model,
    fingerprint.modelSha256,
    request.transfer,
    request.encoding,
    // Lossless encodings have no quality.
    request.encoding === 'jpeg' ? request.quality : null,
    fingerprint.pipelineSha256,
    // Named, so that it is never taken for a slide; without it the series is the one of a request that does not name it.
    ...(request.anyStain ? [{ anyStain: true }] : []),
    // Two slides of one series are no revisions of each other.
    ...(fingerprint.slideUid === undefined ? [] : [fingerprint.slideUid]),
  ]);
  return { lineage, content: sha256([lineage, fingerprint.sourceSha256]) };
}

/** The request with what it means now, whatever is in the archive and under the template's name by then. */
export function pinned(request: NormalizationRequest, fingerprint: Fingerprint): NormalizationRequest {
  const { sourceSha256, slideUid: slide, templateSha256 } = fingerprint;
  const contentSha256 = seriesContent(request, fingerprint).content;
  return { ...request, slide, templateSha256, sourceSha256, contentSha256 };
}

/**
 * @param expected SHA-256 of the instances that a slide had when it was looked at before
 * @throws SERIES_ARRIVING, with `data.sourceSha256`, where it has others now
 */
export function requireSettled({ sourceSha256 }: Fingerprint, expected: string | undefined): void {
  if (expected !== undefined && sourceSha256 !== expected)
    throw new StainError('SERIES_ARRIVING', 'Instances of the slide have come since it was looked at.', {
      data: { sourceSha256 },
    });
}

/** What a series of several slides is known by at two looks, as `sourceSha256` of one slide; undefined for other errors. */
export function sourceOfRefusal(error: unknown): string | undefined {
  return error instanceof StainError && error.code === 'SEVERAL_SLIDES'
    ? sha256(error.data['slides'])
    : undefined;
}

/** @param revision from 1; @param now ISO 8601 with UTC offset, when the revision is begun */
export function seriesIdentity(
  { content }: SeriesContent,
  revision: number,
  now: string,
  supersedes?: string,
): SeriesIdentity {
  const seriesUuid = nameBasedUuid(NAMESPACE, `${content} revision ${revision}`);
  return { seriesUuid, revision, supersedes, createdAt: now };
}

/**
 * The one name of a slide within its series: the SOP Instance UID of its base level; undefined where the series holds no other, so
 * that it is the same slide whether it was named or not.
 */
export function slideUid({ isOneOfSeveral, levels }: Slide): string | undefined {
  return isOneOfSeveral ? levels[0]!.instances[0]!.sopInstanceUid : undefined;
}

/** SHA-256 of the SOP Instance UIDs of a slide, in any order. */
export function sourceSha256(slide: Slide): string {
  return sha256(
    imagesOf(slide)
      .flatMap(({ instances }) => instances.map(({ sopInstanceUid }) => sopInstanceUid))
      .sort(),
  );
}

/** SHA-256 of plain values, as JSON; lower-case hexadecimal. */
export function sha256(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
