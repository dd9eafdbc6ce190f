/** Archives as the configuration describes them, with certificates and secrets read. */
import type { Config, NamedArchive } from '../config.ts';
import type { HttpProxy } from '../dicomweb/archive-agent.ts';
import type { Habits } from '../dicomweb/archive-habits.ts';
import { readSecret } from '../setting.ts';
import { readTlsFiles } from '../tls.ts';
import { type ArchiveCredentials, archiveCredentials } from './archive-credentials.ts';

export interface ArchiveSettings {
  readonly url: string;
  readonly users: Config['dicomweb']['users'];
  readonly timeoutSeconds: number;
  readonly isReadOnly: boolean;
  readonly maxInstanceBytes: number | undefined;
  readonly profile: Partial<Habits>;
  readonly credentials: ArchiveCredentials;
}

/** Of `dicomweb`. @throws CONFIGURATION_INVALID */
export async function defaultArchiveSettings(
  dicomweb: Config['dicomweb'] & { readonly url: string },
): Promise<ArchiveSettings> {
  const { url, users, timeoutSeconds, tls } = dicomweb;
  return {
    url,
    users,
    timeoutSeconds,
    isReadOnly: false,
    maxInstanceBytes: undefined,
    profile: {},
    credentials: archiveCredentials(dicomweb, { tls: await readTlsFiles('dicomweb.tls', tls) }),
  };
}

/** Of one of `archives`. @throws CONFIGURATION_INVALID; the message names the setting and never a secret */
export async function namedArchiveSettings(name: string, archive: NamedArchive): Promise<ArchiveSettings> {
  const key = `archives.${name}`;
  const { url, users, timeoutSeconds, isReadOnly, maxInstanceBytes, maxConnections, profile } = archive;
  const { oauth } = archive;
  const reach = {
    tls: await readTlsFiles(`${key}.tls`, archive.tls),
    proxy: await proxyOf(`${key}.proxy`, archive.proxy),
    maxConnections,
  };
  const settings = {
    users,
    headers: await headersOf(key, archive),
    oauth: oauth
      ? { ...oauth, clientSecret: await readSecret(`${key}.oauth.clientSecret`, oauth.clientSecret) }
      : {},
  };
  return {
    url,
    users,
    timeoutSeconds,
    isReadOnly,
    maxInstanceBytes,
    // What is left out must not hide the usual way.
    profile: Object.fromEntries(Object.entries(profile).filter(([, way]) => way !== undefined)),
    credentials: archiveCredentials(settings, reach),
  };
}

async function headersOf(
  key: string,
  { basic, bearer }: Pick<NamedArchive, 'basic' | 'bearer'>,
): Promise<Record<string, string>> {
  if (bearer) return { Authorization: `Bearer ${await readSecret(`${key}.bearer`, bearer)}` };
  if (basic) return { Authorization: await basicOf(`${key}.basic`, basic) };
  return {};
}

async function proxyOf(key: string, proxy: NamedArchive['proxy']): Promise<HttpProxy | undefined> {
  if (!proxy) return undefined;
  const { url, basic } = proxy;
  return { url, authorization: basic && (await basicOf(`${key}.basic`, basic)) };
}

/** RFC 7617, in UTF-8. */
async function basicOf(key: string, { user, password }: NonNullable<NamedArchive['basic']>): Promise<string> {
  const pair = `${user}:${await readSecret(`${key}.password`, password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}
