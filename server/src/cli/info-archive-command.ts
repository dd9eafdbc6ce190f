/**
 * `info --archive URL`: what an archive supports, which workarounds are in use, and what it lacks, before the first
 * slide.
 */

import { StainError } from '../../../core/src/errors.ts';
import { type ArchiveProfile, profileArchive } from '../dicomweb/archive-profile.ts';
import { scrub } from '../http/scrub.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import type { Composition } from '../wiring/composition.ts';

/** Time limit for all checks. */
const TIME_MS = 120_000;
/** Maximum size of one response: a page of a search, or the headers of a slide. */
const MAX_ANSWER_BYTES = 64e6;

export interface ArchiveInfo extends ArchiveProfile {
  readonly archive: string;
}

/** @param url of an archive, its name, or a folder; if undefined, the configured archive */
export async function infoArchiveCommand(
  url: string | undefined,
  { config }: Composition,
  signal: AbortSignal,
): Promise<ArchiveInfo> {
  const location = url ?? config.dicomweb.url;
  if (location === undefined)
    throw new StainError('REQUEST_INVALID', 'Name the archive, or configure dicomweb.url.');
  await using archive = await openArchiveLocation(location, config, {
    create: false,
    maxMetadataBytes: MAX_ANSWER_BYTES,
  });
  const profile = await profileArchive(archive.client, signal, AbortSignal.timeout(TIME_MS));
  // The messages contain the study and series that were tested.
  const checks = profile.checks.map((check) => ({ ...check, detail: scrub(check.detail) }));
  return { archive: archive.name, ...profile, checks };
}

export function describeArchiveInfo({ archive, server, checks, ...found }: ArchiveInfo): string {
  const width = Math.max(...checks.map(({ what }) => what.length));
  const lines = (['can', 'worked round', 'lacking', 'not tried'] as const).flatMap((outcome) =>
    checks
      .filter((check) => check.outcome === outcome)
      .map(({ what, detail }) => `${outcome.padEnd(13)} ${what.padEnd(width)}  ${detail}`.trimEnd()),
  );
  return [
    `archive       ${archive}`,
    `server        ${server ?? 'does not identify itself'}`,
    ...lines,
    conclusion(found),
  ].join('\n');
}

function conclusion({ isUsable, hasSlides }: Pick<ArchiveInfo, 'isUsable' | 'hasSlides'>): string {
  if (!isUsable) return 'Slides in this archive cannot be normalised.';
  return hasSlides
    ? 'Slides in this archive can be normalised, as far as reading shows.'
    : 'The archive can be searched; repeat this check once it has a slide.';
}
