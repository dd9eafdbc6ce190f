/** `info --archive URL`: what an archive can, what is worked round, and what is lacking, before the first slide. */

import { scrub } from '../app/scrub.ts';
import type { Composition } from '../composition.ts';
import { type ArchiveProfile, profileArchive } from '../dicomweb/archive-profile.ts';
import { StainError } from '../errors.ts';
import { openArchiveLocation } from './archive-location.ts';

/** For all that is asked. */
const TIME_MS = 120_000;
/** Of one answer: a page of a search, or the headers of a slide. */
const MAX_ANSWER_BYTES = 64e6;

export interface ArchiveInfo extends ArchiveProfile {
  readonly archive: string;
}

/** @param url of an archive, or a folder; the archive of the configuration where it is left out */
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
  // Messages name the study and series that were tried.
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
    `server        ${server ?? 'does not say what it is'}`,
    ...lines,
    conclusion(found),
  ].join('\n');
}

function conclusion({ isUsable, hasSlides }: Pick<ArchiveInfo, 'isUsable' | 'hasSlides'>): string {
  if (!isUsable) return 'Slides in this archive cannot be normalised.';
  return hasSlides
    ? 'Slides in this archive can be normalised, as far as reading tells.'
    : 'The archive can be searched; ask again when it holds a slide.';
}
