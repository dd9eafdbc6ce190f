/** The configuration: one schema, read from environment variables, a JSON file and defaults, in that order. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { StainError } from './errors.ts';

const folder = (fallback: string, meaning: string) => z.string().min(1).default(fallback).describe(meaning);
const httpUrl = z.url({ protocol: /^https?$/ });
const count = z.int().min(1);
/** Asymmetric ones (RFC 7518, RFC 8037). */
const SIGNATURES = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

/** Longest time a job may be given: the queue's own limit of 24 hours, less its margin. */
const MOST_JOB_MINUTES = 23 * 60;

const schema = z.strictObject({
  server: z.strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe(
        'Address to listen on. Without a login (oidc.issuer) it must be 127.0.0.1 or ::1: put a reverse proxy with a login before it.',
      ),
    port: z.int().min(0).max(65_535).default(3080).describe('Port to listen on; 0 takes a free one.'),
    basePath: z
      .string()
      .regex(/^(\/[\w.~-]+)*$/, 'a path such as /stain, without a slash at its end')
      .default('')
      .describe('Path under which a reverse proxy shows the service, such as /stain.'),
    allowedHosts: z
      .array(
        z
          .string()
          .regex(/^(\[[\da-f:.]+\]|[\w-]+(\.[\w-]+)*)$/i, 'a host such as stain.example, without a port'),
      )
      .default([])
      .describe(
        'Hosts by which the service is asked for, besides this machine (127.0.0.1, [::1], localhost, server.host). Others are refused (421): always without a login, with one where this names any, and for names on the monitoring port.',
      ),
    allowedOrigins: z
      .array(z.string().regex(/^https?:\/\/[^/]+$/, 'an origin such as https://viewer.example'))
      .default([])
      .describe('Origins of web pages that may call the API from elsewhere (CORS).'),
    trustedProxies: z
      .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))
      .default([])
      .describe(
        'Addresses or networks (CIDR) of reverse proxies: their X-Forwarded-For, -Proto and -Host are believed, for the audit trail, rate limits and the addresses in answers.',
      ),
    maxConnections: count.default(5000).describe('Connections at once; idle ones make room for new ones.'),
    connectionsPerAddress: count
      .default(500)
      .describe('Connections of one address (IPv6: of one /64); trusted proxies are not counted.'),
    tls: z.strictObject({
      certFile: z
        .string()
        .min(1)
        .optional()
        .describe('Certificate chain (PEM): the service then speaks TLS, 1.2 at least.'),
      keyFile: z.string().min(1).optional().describe('Its private key (PEM).'),
    }),
  }),
  oidc: z.strictObject({
    issuer: httpUrl
      .optional()
      .describe('Issuer of the tokens that users bring (OpenID Connect). With it every request needs one.'),
    audience: z.string().min(1).optional().describe('Audience that the tokens for this service have.'),
    algorithms: z
      .array(z.enum(SIGNATURES))
      .min(1)
      .default(['RS256', 'PS256', 'ES256', 'EdDSA'])
      .describe('Signatures that are taken.'),
    tokenTypes: z
      .array(z.string().min(1))
      .min(1)
      .default(['at+jwt'])
      .describe(
        'Types (typ) of access tokens that are taken: at+jwt (RFC 9068); for Keycloak and Entra ID, whose tokens say no more, JWT.',
      ),
    viewer: z
      .record(z.string(), z.unknown())
      .default({})
      .describe(
        'How the viewer signs in (code flow with PKCE, back at /callback): {"client_id": ...} and what else the issuer wants, such as resource or scope. A JSON object in the environment.',
      ),
    readScope: z
      .string()
      .min(1)
      .default('stain.read')
      .describe('Scope or role that allows to see slides, jobs and templates.'),
    normalizeScope: z
      .string()
      .min(1)
      .default('stain.normalize')
      .describe(
        'Scope or role that allows to ask for normalisations and to make templates; allows to see as well.',
      ),
    administerScope: z
      .string()
      .min(1)
      .default('stain.administer')
      .describe(
        'Scope or role that allows to replace and remove the templates of others, to cancel the jobs of others and to read metrics; allows all else.',
      ),
    clockToleranceSeconds: z
      .number()
      .min(0)
      .max(300)
      .default(30)
      .describe('Difference of clocks that is borne.'),
  }),
  archive: z.strictObject({
    folder: folder(
      './var/archive',
      'Folder of the embedded archive, which is used when dicomweb.url is absent.',
    ),
    sample: z
      .boolean()
      .default(true)
      .describe('Put the sample slide into an empty embedded archive, so that there is something to see.'),
  }),
  dicomweb: z.strictObject({
    url: httpUrl.optional().describe('Base URL of the DICOMweb archive that holds the slides.'),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .describe(
        'Headers for every request to the archive, such as Authorization. Secret. A JSON object in the environment.',
      ),
    timeoutSeconds: z
      .number()
      .positive()
      .default(300)
      .describe('Longest silence of the archive before a request is given up.'),
    users: z
      .enum(['known', 'exchanged', 'unknown'])
      .default('known')
      .describe(
        'With a login. known: the archive takes the tokens of users, who see what it shows them. exchanged: it takes those that dicomweb.oauth gives for them (RFC 8693). unknown: neither; whoever may read sees all.',
      ),
    oauth: z.strictObject({
      tokenEndpoint: httpUrl
        .optional()
        .describe(
          'Token endpoint (OAuth 2.0) for the archive: the service works with its own tokens (client credentials).',
        ),
      clientId: z.string().min(1).optional().describe('Client that the service is there.'),
      clientSecret: z.string().min(1).optional().describe('Its secret. Secret.'),
      scope: z.string().min(1).optional().describe('Scope that is asked for.'),
      audience: z.string().min(1).optional().describe('Audience that is asked for.'),
    }),
  }),
  viewer: z.strictObject({
    enabled: z.boolean().default(true).describe('Serve OHIF with the plugin at the root of the host.'),
    directory: folder('./var/viewer', 'Folder into which OHIF is fetched once.'),
    package: z
      .string()
      .min(1)
      .optional()
      .describe('File of the npm package @ohif/app, for hosts that reach no registry.'),
  }),
  spool: z.strictObject({
    directory: folder(
      './var/spool',
      'Folder for the parts of a slide in work; needs the space of a few slides. Workers that share it go on with the jobs of one that died.',
    ),
    quotaBytes: count
      .optional()
      .describe('Most bytes in it, of all processes that share it; without it the disk is the limit.'),
    keepDays: z
      .number()
      .positive()
      .default(7)
      .describe(
        'Days after which the parts of a job that failed, and could be asked for again, are removed; sooner where others need the room.',
      ),
    leastFreeBytes: z
      .int()
      .min(0)
      .default(1e9)
      .describe(
        'Less room than this in the spool, not counting our own slides in work, and the process is not ready (/ready).',
      ),
    checkpointSeconds: z
      .number()
      .min(0)
      .default(15)
      .describe('Seconds of work that a crash may cost; 0 writes a checkpoint after each row of windows.'),
  }),
  jobs: z.strictObject({
    concurrency: z
      .int()
      .min(0)
      .max(64)
      .default(1)
      .describe('Slides in work at the same time in one process; 0: the service leaves the work to workers.'),
    heartbeatSeconds: z
      .int()
      .min(10)
      .max(3600)
      .default(30)
      .describe(
        'With database.url: a worker that is silent for this long is taken for dead, another goes on with its job.',
      ),
    stableSeconds: z
      .number()
      .min(0)
      .default(30)
      .describe(
        'Batches and normalize-all take a slide only when nothing new has come to it for this long. 0: as it is.',
      ),
    retryHours: z
      .number()
      .min(0)
      .default(24)
      .describe(
        'How long a job waits for an archive that is away or a full disk, and is tried again, before it fails.',
      ),
  }),
  device: z
    .union([z.enum(['auto', 'cpu', 'cuda']), z.templateLiteral(['cuda:', z.int().min(0)])])
    .default('auto')
    .describe(
      'auto, cpu, cuda or cuda:N. "auto" takes CUDA where it is proved to work and tells why otherwise; "cuda" fails.',
    ),
  threads: z.int().min(0).default(0).describe('Threads for codecs and inference; 0 takes one for each core.'),
  models: z.strictObject({
    directory: z
      .string()
      .min(1)
      .optional()
      .describe('Folder with the models and shipped templates, instead of those of the product.'),
  }),
  templates: z.strictObject({
    directory: folder(
      './var/templates',
      'Folder of your own templates, for the command line. A service brings what lies there into its database once, at the start.',
    ),
    token: z
      .string()
      .min(1)
      .optional()
      .describe('Token (JWT) for the service that template add --to sends a template to. Secret.'),
  }),
  limits: z.strictObject({
    maxSlideMegapixels: z
      .number()
      .positive()
      .default(40_000)
      .describe('Largest base level that is accepted, in megapixels.'),
    maxInstanceBytes: count
      .default(64 * 2 ** 30)
      .describe('Largest DICOM instance that is read, made or stored, in bytes.'),
    jobTimeoutMinutes: z
      .number()
      .positive()
      .max(MOST_JOB_MINUTES)
      .default(720)
      .describe('Longest time for one slide.'),
    maxQueuedJobs: count
      .default(1000)
      .describe(
        'Jobs that may wait; further ones are refused. Those of batches are not among them: they have half as much room beside.',
      ),
    seriesPerBatch: count.default(10_000).describe('Series of one batch.'),
    batchesPerUser: count
      .default(20)
      .describe('Batches of one user that have series without a job; further ones are refused.'),
    jobsPerUser: count
      .default(500)
      .describe(
        'Unfinished jobs of one user, and half as many of batches beside; without a login there is no such limit.',
      ),
    templatesPerUser: count
      .default(200)
      .describe('Templates of one user, with those that were removed or replaced within a day.'),
    templateBytes: count.default(2 ** 29).describe('Most bytes of all templates in the database.'),
    fitsAtOnce: count
      .max(64)
      .default(4)
      .describe(
        'Stains, previews and templates that are made at the same time, at most half of them of one user.',
      ),
    fitsPerUser: count
      .default(16)
      .describe(
        'Stains, previews and templates of one user that are in work or wait; further ones are refused.',
      ),
    fitTimeoutSeconds: z
      .number()
      .positive()
      .max(3600)
      .default(300)
      .describe('Longest time for one stain, preview or template.'),
    requestsPerSecond: count
      .default(50)
      .describe(
        'Requests of one user (or address) to the API; twenty times as many to the archive behind it.',
      ),
    requestsPerSecondPerAddress: count
      .default(1000)
      .describe('Requests of one address (IPv6: of one /64) to everything, counted before the login.'),
    eventStreamsPerUser: count
      .default(32)
      .describe('Event streams that one user (or address) has open at a process.'),
    eventStreams: count.default(1000).describe('Event streams of all users at a process.'),
  }),
  output: z.strictObject({
    encoding: z
      .enum(['jpeg', 'htj2k', 'jpeg2000'])
      .default('jpeg')
      .describe('Encoding of the result when a request names none: jpeg, htj2k or jpeg2000.'),
    quality: z.int().min(1).max(100).default(90).describe('JPEG quality when a request names none.'),
  }),
  colour: z.strictObject({
    onInvalidProfile: z
      .enum(['refuse', 'ignore'])
      .default('refuse')
      .describe('refuse: a slide with a broken ICC profile fails. ignore: it is taken as sRGB.'),
  }),
  database: z.strictObject({
    directory: folder('./var/database', 'Folder of the embedded database (PGlite).'),
    url: z
      .url({ protocol: /^postgres(ql)?$/ })
      .optional()
      .describe(
        'PostgreSQL instead of the embedded database, for several processes on one queue; DATABASE_URL is read as well. Secret when it holds a password.',
      ),
  }),
  audit: z.strictObject({
    file: z
      .string()
      .min(1)
      .optional()
      .describe('File for the audit trail, one for each process. SIGHUP opens it anew, for logrotate.'),
    keyFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        'File with the key (32 bytes at least) that seals its lines: without the key nobody can rewrite it unnoticed.',
      ),
    anchorMinutes: z
      .number()
      .min(0.1)
      .max(1440)
      .default(15)
      .describe(
        'How often number and digest of its last line are put into the database and to syslog: what is cut off later is noticed.',
      ),
    syslog: z.strictObject({
      host: z
        .string()
        .min(1)
        .optional()
        .describe('Receiver of the audit trail by syslog over TLS (RFC 5425).'),
      port: z.int().min(1).max(65_535).default(6514).describe('Its port.'),
      caFile: z
        .string()
        .min(1)
        .optional()
        .describe('Certificates that its own is checked with (PEM), instead of the usual ones.'),
      certFile: z.string().min(1).optional().describe('Our certificate for it (PEM).'),
      keyFile: z.string().min(1).optional().describe('Private key of our certificate (PEM).'),
    }),
  }),
  monitoring: z.strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('Address of a listener for metrics and probes alone, without a login.'),
    port: z
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe(
        'Its port: /metrics, /health and /ready. Without it a service has them on its own port, a worker nowhere.',
      ),
  }),
  log: z.strictObject({
    level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
      .default('info')
      .describe('Least severe level that is logged.'),
  }),
});

export type Config = z.infer<typeof schema>;

export interface ConfigRow {
  /** Path in the JSON file, with dots. */
  readonly key: string;
  readonly env: string;
  /** As JSON; empty where there is none. */
  readonly default: string;
  readonly meaning: string;
}

export interface ConfigSources {
  /** JSON file; STAIN_CONFIG names it where this is absent. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** @throws CONFIGURATION_INVALID; the message names the key and where it was set, never a value (it may be secret) */
export function loadConfig({ file, env }: ConfigSources): Config {
  const path = file ?? env['STAIN_CONFIG'];
  const values: Record<string, unknown> = path === undefined ? {} : readFile(path);
  refuseMistypedVariables(env);
  for (const { key, env: variable, leaf } of leaves) {
    const text = env[variable] || (key === 'database.url' ? env['DATABASE_URL'] : undefined);
    if (text !== undefined && text !== '') assign(values, key, fromText(text, leaf, variable));
    else addSections(values, key);
  }
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const key = issue.path.join('.');
    const where = leaves.find((leaf) => leaf.key === key || key.startsWith(`${leaf.key}.`));
    const origin = where && env[where.env] ? where.env : (path ?? 'configuration');
    return `${key || 'configuration'} (${origin}): ${issue.message}`;
  });
  throw invalid(problems.join('; '), { keys: parsed.error.issues.map((issue) => issue.path.join('.')) });
}

/** Every key with its environment variable, default and meaning: the README's table is made from this. */
export function describeConfig(): ConfigRow[] {
  return leaves.map(({ key, env, leaf }) => {
    const fallback = leaf.safeParse(undefined).data;
    return {
      key,
      env,
      default: fallback === undefined ? '' : JSON.stringify(fallback),
      meaning: leaf.description ?? '',
    };
  });
}

interface Leaf {
  readonly key: string;
  readonly env: string;
  readonly leaf: z.ZodType;
}

const leaves = leavesOf(schema, []);

function leavesOf(object: z.ZodObject, path: readonly string[]): Leaf[] {
  return Object.entries(object.shape).flatMap(([name, field]) => {
    const here = [...path, name];
    if (field instanceof z.ZodObject) return leavesOf(field, here);
    return [{ key: here.join('.'), env: environmentName(here), leaf: field as z.ZodType }];
  });
}

/** `dicomweb.timeoutSeconds` is STAIN_DICOMWEB_TIMEOUT_SECONDS. */
function environmentName(path: readonly string[]): string {
  return ['STAIN', ...path]
    .join('_')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toUpperCase();
}

/** A mistyped variable would be ignored in silence; only our own sections are looked at. */
function refuseMistypedVariables(env: ConfigSources['env']): void {
  const known = new Set(leaves.map((leaf) => leaf.env));
  const sections = Object.keys(schema.shape).map((section) => `STAIN_${section.toUpperCase()}_`);
  const mistyped = Object.keys(env).find(
    (name) => !known.has(name) && sections.some((section) => name.startsWith(section)),
  );
  if (mistyped) throw invalid(`${mistyped}: there is no such environment variable.`, { keys: [mistyped] });
}

function readFile(path: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code !== undefined;
    throw invalid(missing ? `The file ${path} cannot be read.` : `The file ${path} is not JSON.`, {}, cause);
  }
  if (!isObject(json)) throw invalid(`The file ${path} does not hold a JSON object.`);
  return json;
}

/** An environment variable in the type of its key. What cannot be converted is left for the schema to refuse. */
function fromText(text: string, leaf: z.ZodType, variable: string): unknown {
  switch (
    leaf.type === 'default' || leaf.type === 'optional'
      ? (leaf as z.ZodDefault<z.ZodType>).unwrap().type
      : leaf.type
  ) {
    case 'number':
      return text.trim() === '' ? text : Number(text);
    case 'boolean':
      return text === 'true' || (text === 'false' ? false : text);
    case 'array':
      return text.split(',').map((part) => part.trim());
    case 'record':
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw invalid(`${variable} is not a JSON object.`, { keys: [variable] }, cause);
      }
    default:
      return text;
  }
}

/** Sets a nested value, unless something that is no object is in the way: the schema will say so. */
function assign(values: Record<string, unknown>, key: string, value: unknown): void {
  const section = addSections(values, key);
  if (section) section[key.slice(key.lastIndexOf('.') + 1)] = value;
}

/** The section that holds `key`, made where it is missing, so that the defaults inside it apply. */
function addSections(values: Record<string, unknown>, key: string): Record<string, unknown> | undefined {
  let section = values;
  for (const name of key.split('.').slice(0, -1)) {
    section[name] ??= {};
    if (!isObject(section[name])) return undefined;
    section = section[name];
  }
  return section;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(message: string, data: Record<string, unknown> = {}, cause?: unknown): StainError {
  return new StainError('CONFIGURATION_INVALID', message, { data, cause });
}
