/**
 * Which derived series a request refers to. The same request is the same series, whoever makes it: the service, the
 * command line or a rule. Everything that determines its bytes is in its UIDs, so different bytes never reuse a UID.
 */
import { createHash } from 'node:crypto';
import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import { nameBasedUuid } from '../dicom/uid.ts';
import type { Slide } from '../slide/types.ts';
import { imagesOf } from './inspect-series.ts';

/** Identifies the series that the work makes, so that a repeat stores the same bytes again. */
export interface SeriesIdentity {
  /** All its UIDs derive from this (dicom/derived-uids.ts). */
  readonly seriesUuid: string;
  /** How often a series of this kind has been made of the slide, from 1. */
  readonly revision: number;
  /** Series Instance UID of the series it replaces. */
  readonly supersedes?: string | undefined;
  /** ISO 8601 with UTC offset; all dates of the series derive from it. */
  readonly createdAt: string;
}

/** Namespace of the UUIDs generated here (RFC 9562 section 5.5). */
const NAMESPACE = 'c0a6a4e5-6d0b-4f0f-9c56-0d7d6b1b3f5e';

/**
 * Increased whenever the same request, model and template start to make different bytes: what was stored before is then
 * a different series, and half-finished work in a spool starts afresh. 2: with `linear` every level is its own source.
 * 3: the lossy compression ratio is estimated, and the fit rounded. 4: the sentences in headers (notes, colour policy,
 * revision) are worded better; with `linear`, black is what is dark in all three channels. 5: what is ink is judged
 * against the slide's own nuclei. 6: glass decides which colours RLE, JPEG-LS and
 * JPEG 2000 hold under the name of others; High Bit and Pixel Representation are those of the result. 7: the fit of a
 * large slide is made from small blocks all over it. 8: a thumbnail of the whole glass is left out; sequences and values
 * stored as UN are read.
 */
export const PIPELINE_VERSION = 8;

/** Content hashes of what a request names, because a name may refer to other content later. */
export interface Fingerprint {
  /** `sourceSha256` of the slide. */
  readonly sourceSha256: string;
  /** `slideUid` of the slide. */
  readonly slideUid?: string | undefined;
  readonly templateSha256: string;
  readonly modelSha256: string;
  /** Hash of the software and settings that determine pixels and encoding. */
  readonly pipelineSha256: string;
}

/**
 * A request with its content: two with the same `content` are one series; two with the same `lineage` are revisions of
 * one series.
 */
export interface SeriesContent {
  /** SHA-256 of everything except the source instances, which may arrive in parts or be replaced. */
  readonly lineage: string;
  /** SHA-256 of everything. */
  readonly content: string;
}

export function seriesContent(request: NormalizationRequest, fingerprint: Fingerprint): SeriesContent {
  const { source, destination } = request;
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
    // Labelled, so that it is never mistaken for a slide. Omitted if unset, so that the series of such a request stays
    // the same.
    ...(request.anyStain ? [{ anyStain: true }] : []),
    // Archives may differ in what they say about the same slide, and so do its results, which name it. Each place where
    // they are stored counts its own revisions. Omitted for the default archive, for the same reason.
    ...(source === undefined && destination === undefined ? [] : [{ source, destination }]),
    // Two slides of one series are not revisions of each other.
    ...(fingerprint.slideUid === undefined ? [] : [fingerprint.slideUid]),
  ]);
  return { lineage, content: sha256([lineage, fingerprint.sourceSha256]) };
}

/** The request with the content that it names now, whatever the archive or the template's name holds later. */
export function pinned(request: NormalizationRequest, fingerprint: Fingerprint): NormalizationRequest {
  const { sourceSha256, slideUid: slide, templateSha256 } = fingerprint;
  const contentSha256 = seriesContent(request, fingerprint).content;
  return { ...request, slide, templateSha256, sourceSha256, contentSha256 };
}

/**
 * @param expected SHA-256 of the slide's instances when they were last checked
 * @throws SERIES_ARRIVING, with `data.sourceSha256`, if the slide has other instances now
 */
export function requireSettled({ sourceSha256 }: Fingerprint, expected: string | undefined): void {
  if (expected !== undefined && sourceSha256 !== expected)
    throw new StainError('SERIES_ARRIVING', 'Instances of the slide arrived after it was last checked.', {
      data: { sourceSha256 },
    });
}

/**
 * Compares a series of several slides between two checks, as `sourceSha256` does for one slide; undefined for other
 * errors.
 */
export function sourceOfRefusal(error: unknown): string | undefined {
  return error instanceof StainError && error.code === 'SEVERAL_SLIDES'
    ? sha256(error.data['slides'])
    : undefined;
}

/**
 * A slide that has gained instances since the request, or another version of model or software, is different work: its
 * result must not take the UIDs of this one.
 * @param source of the slide that is read
 * @throws SOURCE_CHANGED, WORK_CHANGED
 */
export function requirePinned(
  request: NormalizationRequest,
  source: Pick<Fingerprint, 'sourceSha256'>,
  now: Fingerprint,
): void {
  if (request.sourceSha256 !== undefined && request.sourceSha256 !== source.sourceSha256)
    throw new StainError(
      'SOURCE_CHANGED',
      'The slide no longer has the instances it had when the job was requested.',
    );
  if (request.contentSha256 !== undefined && request.contentSha256 !== seriesContent(request, now).content)
    throw new StainError(
      'WORK_CHANGED',
      'The model, the software or its settings have changed since the job was requested.',
    );
}

/** @param revision from 1; @param now ISO 8601 with UTC offset, the start of the revision */
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
 * Identifies a slide within its series: the SOP Instance UID of its base level. Undefined if the series holds no other
 * slide, so that it is the same slide whether or not the request names it.
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
