/** What a service does with one archive: who sees what, searches, its DICOMweb at this host, its slides normalised. */
import express from 'express';
import { type Access, archiveKnowsUsers, openAccess, openSearch, type UserSearches } from '../auth/access.ts';
import { archiveCredentials } from '../auth/archive-credentials.ts';
import type { Login } from '../auth/login.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { Config } from '../config.ts';
import type { ArchiveRoutes } from '../http/app.ts';
import { archiveProxy } from '../http/archive-proxy.ts';
import { archiveTarget } from '../http/archive-target.ts';
import { NormalizedArchive } from '../normalized/normalized-archive.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import { InstanceFiles } from '../pipeline/instance-files.ts';
import type { Looks } from '../pipeline/looks.ts';
import type { ArchiveLocation } from './archive-location.ts';
import type { Composition } from './composition.ts';
import type { WorkingProcess } from './working-process.ts';

/** A folder of this host has no users. */
const WITHOUT_USERS = {
  url: undefined,
  users: 'unknown',
  profile: {},
  credentials: archiveCredentials({ headers: {}, users: 'unknown', oauth: {} }),
} as const;

export interface ServedArchive {
  readonly access: Access;
  readonly search: UserSearches;
  readonly routes: ArchiveRoutes;
  /** For reading slides while users wait. */
  readonly looking: NormalizationEnvironment;
  readonly normalized: NormalizedArchive;
}

export interface ServedTogether {
  readonly login: Login;
  readonly looks: Looks;
  /** A pool of its own, so that jobs do not delay viewers. */
  readonly codecs: CodecPool;
  /** See `ArchiveProxyOptions`. */
  readonly bulkDataKey: Buffer;
  /** Room for cached sources, in bytes. */
  readonly sourceRoom: number;
}

/** @param cleanup ends what it opens */
export function serveArchive(
  location: ArchiveLocation,
  composition: Composition,
  { environmentOf, jobs, metrics }: Pick<WorkingProcess, 'environmentOf' | 'jobs' | 'metrics'>,
  { login, looks, codecs, bulkDataKey, sourceRoom }: ServedTogether,
  cleanup: AsyncDisposableStack,
): ServedArchive {
  const { archive: name, settings, client, router } = location;
  const { users, profile, credentials, url } = settings ?? WITHOUT_USERS;
  const asked = { dicomweb: { url, users } };
  const environment = environmentOf({ source: name });
  // The embedded archive reads its files itself.
  const instanceFiles =
    router || sourceRoom === 0 ? undefined : cleanup.use(new InstanceFiles(environment, sourceRoom));
  const looking = { ...environment, instanceFiles };
  const search = openSearch(asked, login, client, credentials, profile);
  const normalized = new NormalizedArchive({
    environment: looking,
    jobs,
    derivations: jobs.derivations,
    output: composition.config.output,
    source: name,
    looks,
    codecs,
    threads: composition.threads,
    onFrame: (outcome, seconds) => metrics.frameAnswered(outcome, seconds),
  });
  return {
    access: openAccess(asked, login, credentials, profile),
    search,
    looking,
    normalized,
    routes: {
      archiveRouter: router
        ? express.Router().use(archiveTarget, router)
        : archiveProxy({ ...settings!, bulkDataKey }, login, credentials),
      archiveKnowsUsers: archiveKnowsUsers(asked, login),
      normalized: { archive: normalized, search },
    },
  };
}

/** In a spool with a quota, cached sources leave most of the room to jobs; archives share it equally. */
export function sourceRoom(
  { sourceBytes, quotaBytes = Number.POSITIVE_INFINITY }: Config['spool'],
  archives: number,
): number {
  return Math.floor(Math.min(sourceBytes, quotaBytes / 4) / archives);
}
