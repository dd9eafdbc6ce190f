/** The archives of a process by name, and what a normalisation from one to another needs. */
import type { ArchiveNames } from '../../../core/src/contract/archive.ts';
import { DEFAULT_ARCHIVE } from '../../../core/src/contract/default-archive.ts';
import { StainError } from '../../../core/src/errors.ts';
import { archiveNames, type Config } from '../config.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import type { TemplateStore } from '../pipeline/template-store.ts';
import {
  type ArchiveLocation,
  type OpenOptions,
  openArchiveLocation,
  requireWritable,
} from './archive-location.ts';
import type { Composition } from './composition.ts';

export interface Archives extends AsyncDisposable {
  /** The default one first. */
  readonly all: readonly ArchiveLocation[];
  /** @param name undefined: the default one. @throws ARCHIVE_NOT_FOUND */
  get(name: string | undefined): ArchiveLocation;
}

/** What a normalisation needs. @throws ARCHIVE_NOT_FOUND, ARCHIVE_READ_ONLY */
export type EnvironmentOf = (names: ArchiveNames) => NormalizationEnvironment;

/** @param onAnswer as of a DICOMweb client, with the name of the archive. @throws CONFIGURATION_INVALID */
export async function openArchives(
  config: Config,
  onAnswer: (archive: string, ...answer: Parameters<NonNullable<OpenOptions['onAnswer']>>) => void,
): Promise<Archives> {
  await using cleanup = new AsyncDisposableStack();
  const all: ArchiveLocation[] = [];
  for (const name of archiveNames(config))
    all.push(
      cleanup.use(
        await openArchiveLocation(name, config, {
          create: name === DEFAULT_ARCHIVE,
          onAnswer: (...answer) => onAnswer(name, ...answer),
        }),
      ),
    );
  const byName = new Map(all.map((archive) => [archive.archive, archive]));
  const resources = cleanup.move();
  return {
    all,
    get(name) {
      const found = byName.get(name);
      if (found) return found;
      throw new StainError('ARCHIVE_NOT_FOUND', `There is no archive "${name}".`, {
        data: { archive: name },
      });
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export function environmentsOf(
  composition: Composition,
  archives: Archives,
  templates: TemplateStore,
): EnvironmentOf {
  return (names) => {
    const [source, destination] = [archives.get(names.source), archives.get(names.destination)];
    const { archive, settings } = destination;
    if (archive !== undefined && settings) requireWritable(archive, settings);
    return environmentOf(composition, { source, destination }, templates);
  };
}

/** For a command: one source, one destination. */
export function environmentOf(
  composition: Composition,
  { source, destination }: { readonly source: ArchiveLocation; readonly destination: ArchiveLocation },
  templates?: TemplateStore,
): NormalizationEnvironment {
  const environment = composition.environment(
    { source: source.client, destination: destination.client },
    templates,
  );
  const { limits } = environment;
  const maxInstanceBytes = Math.min(
    limits.maxInstanceBytes,
    ...[source, destination].flatMap(({ settings }) => settings?.maxInstanceBytes ?? []),
  );
  return { ...environment, limits: { ...limits, maxInstanceBytes } };
}

/** The names by which the configuration knows the two ends of a command. */
export function namesOf(source: ArchiveLocation, destination: ArchiveLocation): ArchiveNames {
  return {
    ...(source.archive !== undefined && { source: source.archive }),
    ...(destination.archive !== undefined && { destination: destination.archive }),
  };
}
