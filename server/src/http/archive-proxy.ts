/**
 * Serves the configured archive on our own origin, so that the viewer needs no CORS. Read-only except for STOW-RS;
 * streams in both directions and stores nothing. URLs, media types and headers sent to the archive are written here; of
 * the client's request only what was parsed goes through.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import express, { type Request, type Response, type Router } from 'express';
import type { Dispatcher } from 'undici';
import { StainError } from '../../../core/src/errors.ts';
import { readStoredStudies, setStoring } from '../audit/stored-studies.ts';
import type { ArchiveCredentials } from '../auth/archive-credentials.ts';
import type { Login } from '../auth/login.ts';
import { LOCAL } from '../auth/principal.ts';
import type { Config } from '../config.ts';
import { archiveAgent } from '../dicomweb/archive-agent.ts';
import { ArchiveHabits, type Habits } from '../dicomweb/archive-habits.ts';
import { parseRoot, takeCredentials } from '../dicomweb/connection.ts';
import { parseMediaType } from '../dicomweb/media-type.ts';
import type { ResourceKind } from '../dicomweb/query-parameters.ts';
import { rewriteBulkData } from '../dicomweb/rewrite-bulk-data.ts';
import { acceptWays } from './archive-accept.ts';
import { archiveTarget, resourceOf } from './archive-target.ts';
import { harmlessType } from './archive-type.ts';
import { setSubject } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { BulkDataAddresses } from './bulk-data-address.ts';
import { type Outgoing, relay } from './relay.ts';

/** Data sets, in which URLs are replaced. */
const DATA_SETS: readonly ResourceKind[] = ['search', 'metadata', 'store'];

/**
 * Request headers about the data, in addition to Accept. Our cookies and the details of our connection are none of the
 * archive's business. Ranges and conditions are passed on for bytes that pass unchanged.
 */
const ALWAYS = ['user-agent'];
const OF_STORED = ['content-encoding', 'content-length', 'content-type'];
// biome-ignore format: a list
const OF_BYTES = ['if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'range'];

/** `unreadable`: XML, data sets in a multipart body, and encoded bodies, because URLs in them cannot be replaced. */
type Form = 'data sets' | 'bytes' | 'unreadable';

// biome-ignore format: a list
const OF_ANSWERS = ['cache-control', 'content-language', 'date', 'expires', 'retry-after', 'warning', 'www-authenticate'];

/** Cookies, redirects and security headers of the archive must not speak for our origin either. */
const TO_BROWSER: Readonly<Record<Form, readonly string[]>> = {
  'data sets': [...OF_ANSWERS, 'content-type'],
  // biome-ignore format: a list
  bytes: [
    ...OF_ANSWERS, 'accept-ranges', 'content-encoding', 'content-length', 'content-range', 'content-type', 'etag', 'last-modified',
  ],
  unreadable: OF_ANSWERS,
};

export interface ArchiveProxyOptions extends Pick<Config['dicomweb'], 'timeoutSeconds' | 'users'> {
  readonly url: string;
  /** If true, nothing may be stored (ARCHIVE_READ_ONLY). */
  readonly isReadOnly?: boolean;
  /** What is known of the archive beforehand. */
  readonly profile?: Partial<Habits>;
  /** 32 bytes that all processes of the service share (service-key.ts). */
  readonly bulkDataKey: Buffer;
}

/**
 * Can be mounted under any prefix. Problems: TARGET_REFUSED, ARCHIVE_READ_ONLY, NOT_ACCEPTABLE, NOT_FOUND,
 * ARCHIVE_UNREACHABLE, ARCHIVE_TIMEOUT, ARCHIVE_PROTOCOL
 */
export function archiveProxy(
  { url, timeoutSeconds, users, isReadOnly, profile, bulkDataKey }: ArchiveProxyOptions,
  { isRequired }: Pick<Login, 'isRequired'>,
  credentials: ArchiveCredentials,
): Router {
  const root = parseRoot(url);
  const authorization = takeCredentials(root);
  const addresses = new BulkDataAddresses(root, bulkDataKey);
  const habits = new ArchiveHabits(profile);
  const timeoutMs = timeoutSeconds * 1000;
  // relay.ts enforces the idle timeout of both sides.
  const settings = { ...credentials.reach, connectMs: timeoutMs, headersTimeout: 0, bodyTimeout: 0 };
  const reading = archiveAgent(settings);
  // An idle connection may be closed just as it is used, and store requests are not retried.
  const storing = archiveAgent({ ...settings, pipelining: 0 });

  /**
   * The user's own credentials are passed on if the archive accepts them, and ours are then not used. Otherwise nothing
   * the client sent is passed on: its token opens this service.
   */
  async function credentialsFor(request: Request, response: Response): Promise<Headers> {
    const isOwn = isRequired ? users !== 'unknown' : request.headers.authorization !== undefined;
    const { token } = principalOf(response) ?? {};
    if (isRequired && isOwn && token !== undefined)
      return { authorization: `Bearer ${await credentials.ofUser(token)}` };
    if (isOwn) return pick(request.headers, ['authorization']);
    return { ...(authorization && { authorization }), ...lowerCase(await credentials.service()) };
  }

  return express.Router().use(archiveTarget, async (request, response) => {
    const resource = resourceOf(response)!;
    const { kind } = resource;
    const user = principalOf(response)?.id ?? LOCAL.id;
    if (kind === 'value')
      throw new StainError('TARGET_REFUSED', 'Bulk data can be fetched only from the URLs in responses.');
    if (kind === 'store' && isReadOnly)
      throw new StainError('ARCHIVE_READ_ONLY', 'Nothing may be stored in this archive.');
    const isDataSet = DATA_SETS.includes(kind);
    const bulkData = kind === 'bulkdata' ? addresses.open(resource.token, user) : undefined;
    if (bulkData) setSubject(response, { studyInstanceUid: bulkData.study });
    const path = bulkData?.target ?? root.pathname + request.url.slice(1);
    const origin = originOf(request);
    const { ways, refusals } = acceptWays(kind, request.headers.accept, habits.known);
    const outgoing: Outgoing = {
      accepts: ways.map(({ accept }) => accept),
      refusals,
      origin: root.origin,
      path,
      method: request.method as Outgoing['method'],
      headers: {
        ...pick(request.headers, [...ALWAYS, ...(kind === 'store' ? OF_STORED : isDataSet ? [] : OF_BYTES)]),
        ...(await credentialsFor(request, response)),
        'accept-encoding': 'identity',
        // For the URLs that the archive writes into its responses. RFC 7239 requires quotes around a host with a port,
        // and Orthanc takes them for part of the host. So none are written, and `originOf` returns no host that would
        // need them.
        ...(origin && { forwarded: `host=${origin.host};proto=${origin.protocol}` }),
      },
    };
    const source = {
      base: new URL(path, root),
      forwardedOrigin: origin?.href,
      study: 'study' in resource ? resource.study : undefined,
      user,
    };
    const onOurOrigin = (address: string): string | undefined => {
      const token = addresses.tokenOf(address, source);
      return token && `${origin?.href ?? ''}${request.baseUrl}/bulkdata/${token}`;
    };
    const relayed = relay(outgoing, request, response, {
      agent: kind === 'store' ? storing : reading,
      timeoutMs,
      onAnswer(answer, body, accept) {
        if (answer.statusCode < 300) habits.learn(ways.find((way) => way.accept === accept)!.habit);
        const form = formOf(answer, isDataSet);
        if (form === 'unreadable' && answer.statusCode < 400 && kind !== 'store')
          throw new StainError(
            'ARCHIVE_PROTOCOL',
            'The archive answered in a format that was not requested.',
          );
        response.status(answer.statusCode);
        // Not with express's `set`, which would add a charset.
        const headers = pick(answer.headers, TO_BROWSER[form]);
        const { 'content-type': type, 'cache-control': caching } = headers;
        response.setHeaders(new Map(Object.entries(headers)));
        if (type) response.setHeader('Content-Type', harmlessType(type));
        // What an archive without users gives to everybody is, here, only for users who may read.
        if (caching) response.setHeader('Cache-Control', privateCaching(caching));
        if (form === 'unreadable') return Readable.from([]);
        if (form === 'bytes') return body;
        // What was made for one user must not be served to the next from a cache.
        response.setHeader('Cache-Control', 'no-store');
        const passed = rewriteBulkData(body, onOurOrigin);
        return kind === 'store' ? readStoredStudies(passed, response) : passed;
      },
    });
    if (kind === 'store') setStoring(response, relayed);
    await relayed;
  });
}

type Headers = Record<string, string>;

/** The host and protocol that the client used, if they contain nothing else; undefined without such a host. */
function originOf({ host, protocol }: Request): { host: string; protocol: string; href: string } | undefined {
  const isHost = /^(?:[a-z0-9][a-z0-9.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i.test(host ?? '');
  if (!isHost || !/^https?$/.test(protocol)) return undefined;
  const href = `${protocol}://${host}`;
  return URL.canParse(href) ? { host, protocol, href: new URL(href).origin } : undefined;
}

function formOf({ headers }: Dispatcher.ResponseData, isDataSet: boolean): Form {
  const { essence, parameters } = parseMediaType([headers['content-type']].flat()[0] ?? '');
  const isMultipart = essence.startsWith('multipart/');
  const type = isMultipart ? parseMediaType(parameters.get('type') ?? '').essence : essence;
  if (/[/+]xml$/.test(type)) return 'unreadable';
  if (!isDataSet && !/[/+]json$/.test(type)) return 'bytes';
  const encoding = [headers['content-encoding']].flat()[0] ?? 'identity';
  const isUtf8 = /^(utf-?8|us-ascii)?$/i.test(parameters.get('charset') ?? '');
  return isMultipart || encoding !== 'identity' || !isUtf8 ? 'unreadable' : 'data sets';
}

/** Restricts caching to the browser. */
function privateCaching(caching: string): string {
  const kept = caching.split(',').filter((directive) => !/^\s*(public|private|s-maxage)\b/i.test(directive));
  return ['private', ...kept.map((directive) => directive.trim())].join(', ');
}

/** Of the named headers, those that exist and can be passed on. */
function pick(headers: IncomingHttpHeaders, names: readonly string[]): Headers {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = [headers[name]].flat().join(', ');
      return value !== '' && /^[\t -~\x80-\xff]*$/.test(value) ? [[name, value]] : [];
    }),
  );
}

function lowerCase(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
