/**
 * The configuration: one schema, filled from environment variables, a JSON file and defaults, in that order of
 * precedence.
 */

import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { nameOfArchive } from '../../core/src/contract/archive.ts';
import { DEFAULT_ARCHIVE } from '../../core/src/contract/default-archive.ts';
import { DEFAULT_OUTPUT, OUTPUT_ENCODINGS } from '../../core/src/contract/output.ts';
import { StainError } from '../../core/src/errors.ts';
import { jsonFault } from './setting.ts';

const folder = (fallback: string, meaning: string) => z.string().min(1).default(fallback).describe(meaning);
const httpUrl = z.url({ protocol: /^https?$/ });
/** Paths are appended to it, so a query would be lost, and with it a token in it. */
const rootUrl = httpUrl.refine(
  (url) => !URL.canParse(url) || !/[?#]/.test(url),
  'must have no query and no fragment; tokens go into headers',
);
const count = z.int().min(1);
/** More threads than this only take memory and time, whatever the machine. */
const MAX_THREADS = 256;
/** Of a message itself (RFC 9110, RFC 9112): they are for the client to set. */
const FRAMING =
  /^(?:connection|content-length|expect|host|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade)$/i;
const headerName = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]+$/, 'is not the name of a header')
  .refine((name) => !FRAMING.test(name), 'is set by the service itself');
/** As they can be sent, RFC 9110 5.5; a newline at the end comes with tokens that are read from a file. */
const headerValue = z
  .string()
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be one line, without a newline at its end, in Latin-1');
/** Asymmetric algorithms (RFC 7518, RFC 8037). */
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

/** Where a secret of a named archive is: never in the file of settings itself, and never on a command line. */
const secret = z.union(
  [z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().regex(/^[A-Za-z_]\w*$/) })],
  { error: 'name a file or an environment variable: {"file": ...} or {"env": ...}' },
);
export type Secret = z.infer<typeof secret>;

const login = z.strictObject({ user: z.string().min(1), password: secret });
const withoutLogin = rootUrl.refine(
  (url) => !URL.canParse(url) || (new URL(url).username === '' && new URL(url).password === ''),
  'user and password go into "basic", not into the URL',
);

/** One more archive. */
const namedArchive = z
  .strictObject({
    url: withoutLogin.describe('Base URL of its DICOMweb service.'),
    isReadOnly: z.boolean().default(false).describe('Nothing is ever stored there.'),
    users: z
      .enum(['known', 'exchanged', 'unknown'])
      .default('known')
      .describe('As dicomweb.users: whether it accepts the tokens of users. Applies with a login.'),
    basic: login.optional().describe('User and password (HTTP Basic): {"user": ..., "password": a secret}.'),
    bearer: secret.optional().describe('Token (HTTP Bearer): a secret.'),
    oauth: z
      .strictObject({
        tokenEndpoint: httpUrl,
        clientId: z.string().min(1),
        clientSecret: secret,
        scope: z.string().min(1).optional(),
        audience: z.string().min(1).optional(),
      })
      .optional()
      .describe(
        'Client credentials (OAuth 2.0): {"tokenEndpoint": ..., "clientId": ..., "clientSecret": a secret, "scope": ..., "audience": ...}; the last two may be left out.',
      ),
    tls: z
      .strictObject({
        caFile: z.string().min(1).optional(),
        certFile: z.string().min(1).optional(),
        keyFile: z.string().min(1).optional(),
      })
      .prefault({})
      .describe('As dicomweb.tls: {"caFile": ..., "certFile": ..., "keyFile": ...}, each of them optional.'),
    proxy: z
      .strictObject({ url: withoutLogin, basic: login.optional() })
      .optional()
      .describe(
        'HTTP proxy through which it is reached, in place of that of the process: {"url": ..., "basic": {"user": ..., "password": a secret}}.',
      ),
    timeoutSeconds: z.number().positive().default(300).describe('As dicomweb.timeoutSeconds.'),
    maxConnections: count
      .optional()
      .describe('Maximum number of connections of one process for its own work, and again for viewers.'),
    maxInstanceBytes: count
      .optional()
      .describe(
        'Largest instance that it sends or accepts, in bytes; never more than limits.maxInstanceBytes.',
      ),
    profile: z
      .strictObject({
        json: z.enum(['application/dicom+json', 'application/json']).optional(),
        paging: z.enum(['usual', 'small', 'none']).optional(),
        includefield: z.boolean().optional(),
        filters: z.boolean().optional(),
        notFound: z.enum(['no resource', 'no match']).optional(),
        instances: z.enum(['any', 'listed', 'none']).optional(),
        frames: z.enum(['any', 'listed', 'none']).optional(),
        headers: z.enum(['series metadata', 'instance metadata', 'instances']).optional(),
      })
      .prefault({})
      .describe(
        'How it must be queried where that differs from the usual way, so that it need not be found out: json, paging, includefield, filters, notFound, instances, frames, headers.',
      ),
  })
  .refine(({ basic, bearer, oauth }) => [basic, bearer, oauth].filter(Boolean).length <= 1, {
    message: 'give one of basic, bearer and oauth',
  })
  .refine(({ users, oauth }) => users !== 'exchanged' || oauth, {
    message: 'users "exchanged" requires oauth',
  });
export type NamedArchive = z.infer<typeof namedArchive>;

/** The longest time limit for a job: the queue's own limit of 24 hours, less its margin. */
const MAX_JOB_MINUTES = 23 * 60;

const schema = z.strictObject({
  server: z.strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe(
        'Address to listen on. Without a login (oidc.issuer) it must be 127.0.0.1 or ::1: put a reverse proxy with a login in front.',
      ),
    port: z.int().min(0).max(65_535).default(3080).describe('Port to listen on; 0 picks a free one.'),
    basePath: z
      .string()
      .regex(/^(\/[\w.~-]+)*$/, 'a path such as /stain, without a slash at its end')
      .default('')
      .describe('Path under which a reverse proxy publishes the service, such as /stain.'),
    allowedHosts: z
      .array(
        z
          .string()
          .regex(/^(\[[\da-f:.]+\]|[\w-]+(\.[\w-]+)*)$/i, 'a host such as stain.example, without a port'),
      )
      .default([])
      .describe(
        'Host names that requests may use, besides this machine (127.0.0.1, [::1], localhost, server.host). Requests for other hosts are refused (421): always without a login, with a login only if this list names any, and for names on the monitoring port.',
      ),
    allowedOrigins: z
      .array(z.string().regex(/^https?:\/\/[^/]+$/, 'an origin such as https://viewer.example'))
      .default([])
      .describe('Origins of web pages that may call the API from other hosts (CORS).'),
    trustedProxies: z
      .array(z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]))
      .default([])
      .describe(
        'Addresses or networks (CIDR) of reverse proxies. Their X-Forwarded-For, -Proto and -Host are trusted for the audit trail, rate limits and the URLs in responses.',
      ),
    maxConnections: count
      .default(5000)
      .describe(
        'Maximum number of open connections; beyond it, the oldest idle one is closed for a new one.',
      ),
    connectionsPerAddress: count
      .default(500)
      .describe(
        'Maximum number of open connections from one address (IPv6: one /64). Trusted proxies are exempt.',
      ),
    tls: z.strictObject({
      certFile: z
        .string()
        .min(1)
        .optional()
        .describe('Certificate chain (PEM). If it is set, the service uses TLS 1.2 or newer.'),
      keyFile: z.string().min(1).optional().describe('Private key of that certificate (PEM).'),
    }),
  }),
  oidc: z.strictObject({
    issuer: httpUrl
      .optional()
      .describe('Issuer of user tokens (OpenID Connect). If it is set, every request needs a token.'),
    audience: z.string().min(1).optional().describe('Audience that tokens for this service must have.'),
    algorithms: z
      .array(z.enum(SIGNATURES))
      .min(1)
      .default(['RS256', 'PS256', 'ES256', 'EdDSA'])
      .describe('Signature algorithms that are accepted.'),
    tokenTypes: z
      .array(z.string().min(1))
      .min(1)
      .default(['at+jwt'])
      .describe(
        'Types (typ) of access tokens that are accepted: at+jwt (RFC 9068), or JWT for Keycloak and Entra ID, which set no more specific type.',
      ),
    viewer: z
      .record(z.string(), z.unknown())
      .default({})
      .describe(
        'How the viewer signs in (code flow with PKCE, redirected to /callback): {"client_id": ...} and anything else the issuer requires, such as resource or scope. A JSON object in the environment.',
      ),
    readScope: z
      .string()
      .min(1)
      .default('stain.read')
      .describe('Scope or role for seeing slides, jobs and templates.'),
    normalizeScope: z
      .string()
      .min(1)
      .default('stain.normalize')
      .describe('Scope or role for requesting normalisations and making templates; includes the read scope.'),
    administerScope: z
      .string()
      .min(1)
      .default('stain.administer')
      .describe(
        "Scope or role for replacing and removing other users' templates, cancelling other users' jobs, the operator's page and its exports, and reading metrics; includes the other two.",
      ),
    clockToleranceSeconds: z
      .number()
      .min(0)
      .max(300)
      .default(30)
      .describe('Clock skew between issuer and service that is tolerated, in seconds.'),
  }),
  archive: z.strictObject({
    folder: folder(
      './var/archive',
      'Folder of the embedded archive, which is used if dicomweb.url is not set.',
    ),
    sample: z
      .boolean()
      .default(true)
      .describe('Put the sample slide into an empty embedded archive, so that there is something to see.'),
  }),
  dicomweb: z.strictObject({
    url: rootUrl.optional().describe('Base URL of the DICOMweb archive that holds the slides.'),
    headers: z
      .record(headerName, headerValue)
      .default({})
      .describe(
        'Headers for every request to the archive, such as Authorization. Secret. A JSON object in the environment.',
      ),
    timeoutSeconds: z
      .number()
      .positive()
      .default(300)
      .describe('How long the archive may be silent before a request to it fails.'),
    users: z
      .enum(['known', 'exchanged', 'unknown'])
      .default('known')
      .describe(
        'Applies with a login. known: the archive accepts the tokens of users, and shows each user what that user may see. exchanged: it accepts the tokens that dicomweb.oauth issues in exchange (RFC 8693). unknown: neither; every user who may read sees everything.',
      ),
    tls: z.strictObject({
      caFile: z
        .string()
        .min(1)
        .optional()
        .describe('CA certificates (PEM) for verifying the archive, instead of the default ones.'),
      certFile: z
        .string()
        .min(1)
        .optional()
        .describe('Client certificate for the archive (PEM), with the chain that leads to its CA.'),
      keyFile: z
        .string()
        .min(1)
        .optional()
        .describe('Private key of the client certificate (PEM, without a passphrase).'),
    }),
    oauth: z.strictObject({
      tokenEndpoint: httpUrl
        .optional()
        .describe(
          'Token endpoint (OAuth 2.0) for the archive, where the service gets tokens of its own (client credentials).',
        ),
      clientId: z.string().min(1).optional().describe('Client ID of the service at that endpoint.'),
      clientSecret: z
        .string()
        .min(1)
        .optional()
        .describe('Client secret of the service at that endpoint. Secret.'),
      scope: z.string().min(1).optional().describe('Scope to request there.'),
      audience: z.string().min(1).optional().describe('Audience to request there.'),
    }),
  }),
  archives: z
    .record(
      nameOfArchive.refine(
        (name) => name !== DEFAULT_ARCHIVE,
        'this name stands for the archive of dicomweb.url',
      ),
      namedArchive,
    )
    .default({})
    .describe(
      'Further archives by name, which requests and rules give as source or destination: see "Several archives" below. A JSON object in the environment.',
    ),
  viewer: z.strictObject({
    enabled: z.boolean().default(true).describe('Serve OHIF with the plugin at the root of the host.'),
    directory: folder('./var/viewer', 'Folder that OHIF is downloaded into, once.'),
    package: z
      .string()
      .min(1)
      .optional()
      .describe('File of the npm package @ohif/app, for hosts that cannot reach a registry.'),
  }),
  spool: z.strictObject({
    directory: folder(
      './var/spool',
      'Folder for slides that are being processed; it needs space for a few slides. Workers that share it resume the jobs of one that died.',
    ),
    quotaBytes: count
      .optional()
      .describe(
        'Maximum size of the spool in bytes, over all processes that share it. Without a quota the disk is the limit.',
      ),
    keepDays: z
      .number()
      .positive()
      .default(7)
      .describe(
        'Days for which the files of a failed job are kept, so that the same request can resume it; fewer if other jobs need the space.',
      ),
    sourceBytes: z
      .int()
      .min(0)
      .default(20e9)
      .describe(
        'Maximum size in bytes of the source instances that each service caches in the spool, for previews and the normalised archive, when the archive is slow to return single frames; at most a quarter of quotaBytes. 0 turns this off.',
      ),
    minFreeBytes: z
      .int()
      .min(0)
      .default(1e9)
      .describe(
        'The process is not ready (/ready) if less than this is free in the spool, not counting the slides it is processing itself. In bytes.',
      ),
    checkpointSeconds: z
      .number()
      .min(0)
      .default(15)
      .describe('Seconds of work that a crash may lose. 0 writes a checkpoint after each row of windows.'),
  }),
  jobs: z.strictObject({
    concurrency: z
      .int()
      .min(0)
      .max(64)
      .default(1)
      .describe(
        'Slides that one process works on at the same time. 0: the service leaves the work to workers.',
      ),
    heartbeatSeconds: z
      .int()
      .min(10)
      .max(3600)
      .default(30)
      .describe(
        'With database.url: a worker that is silent for this long counts as dead, and another resumes its job.',
      ),
    stableSeconds: z
      .number()
      .min(0)
      .default(30)
      .describe(
        'Batches and normalize-all start a slide once no new instance has arrived for this long. 0: at once.',
      ),
    retryHours: z
      .number()
      .min(0)
      .default(24)
      .describe(
        'How long a job is retried while the archive is unreachable or the disk is full, before it fails.',
      ),
    keepDays: z
      .number()
      .min(1)
      .default(365)
      .describe(
        'Days for which failed and cancelled jobs, and batches whose jobs have all ended, are kept in the database. Completed jobs are kept for good, so that a repeated request finds its result.',
      ),
  }),
  results: z.strictObject({
    rejectionNotes: z
      .boolean()
      .default(true)
      .describe(
        'Superseded and unwanted results are rejected by a Key Object Selection in their study (IHE IOCM). false: the archive takes none, and only this service treats them as rejected.',
      ),
    checkDays: z
      .number()
      .min(0)
      .max(3650)
      .default(7)
      .describe(
        'Each stored result is compared with its slide once in this many days, to notice a corrected or merged patient, accession or study. At most 20 a minute. 0: only on demand.',
      ),
    onCorrection: z
      .enum(['list', 'remake'])
      .default('list')
      .describe(
        'list: a result that differs from its slide is listed. remake: it is rejected and made again as well.',
      ),
    keepDays: z
      .number()
      .min(1)
      .optional()
      .describe(
        'Days after which a stored result is rejected, as its retention has ended. Without it, never.',
      ),
    warnDays: z
      .number()
      .min(0)
      .default(14)
      .describe(
        'Days for which the end of retention is announced before: by a metric, the log and GET /api/results.',
      ),
  }),
  rules: z.strictObject({
    file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'JSON file with the rules for normalising new slides automatically (docs/rules.md). It must be the same for every service.',
      ),
    acceptance: z
      .string()
      .min(1)
      .optional()
      .describe(
        'File, or folder of files (.json), of signed acceptances (docs/acceptance.md). With it, a rule picks up only slides of scanners that were accepted with the template, model and transfer of the rule.',
      ),
    pollSeconds: z
      .number()
      .min(1)
      .max(3600)
      .default(60)
      .describe('How often the archive is searched for new slides, in seconds.'),
    lookBackDays: count
      .max(365)
      .default(7)
      .describe('How many days back, by Study Date, every search goes; later dates are always included.'),
    reachDays: count
      .max(36_500)
      .default(365)
      .describe(
        'How many days back, by Study Date, older studies are searched too, thirty days at a time: a slide may be scanned long after its study began.',
      ),
    orthancUrl: httpUrl
      .optional()
      .describe(
        'If the archive is Orthanc: root URL of its REST API. Its list of changes then names every new series, whatever its dates.',
      ),
  }),
  device: z
    .union([z.enum(['auto', 'cpu', 'cuda']), z.templateLiteral(['cuda:', z.int().min(0)])])
    .default('auto')
    .describe(
      'auto, cpu, cuda or cuda:N. "auto" uses CUDA if it is proved to work and otherwise says why not; "cuda" fails in that case.',
    ),
  threads: z
    .int()
    .min(0)
    .max(MAX_THREADS)
    .default(0)
    .describe('Threads for codecs and inference. 0: one for each core. More than cores make it slower.'),
  models: z.strictObject({
    directory: z
      .string()
      .min(1)
      .optional()
      .describe('Folder with models and their templates, in place of the shipped ones.'),
  }),
  templates: z.strictObject({
    directory: folder(
      './var/templates',
      'Folder of your own templates, for the command line. At startup, a service imports each file in it into the database, once.',
    ),
    token: z
      .string()
      .min(1)
      .optional()
      .describe('Token (JWT) for the service to which template add --to sends a template. Secret.'),
  }),
  limits: z.strictObject({
    maxSlideMegapixels: z
      .number()
      .positive()
      .default(40_000)
      .describe('Largest base level that is accepted, in megapixels.'),
    maxInstanceBytes: count
      .default(64 * 2 ** 30)
      .describe('Largest DICOM instance that is read, created or stored, in bytes.'),
    jobTimeoutMinutes: z
      .number()
      .positive()
      .max(MAX_JOB_MINUTES)
      .default(720)
      .describe('Time limit for one slide, in minutes.'),
    maxQueuedJobs: count
      .default(1000)
      .describe(
        'Maximum number of waiting jobs; further requests are refused. Jobs of batches are counted separately, up to half as many.',
      ),
    seriesPerBatch: count.default(10_000).describe('Maximum number of series in one batch.'),
    batchesPerUser: count
      .default(20)
      .describe(
        'Maximum number of unfinished batches of one user; further ones are refused. A batch counts while some of its series have no job.',
      ),
    jobsPerUser: count
      .default(500)
      .describe(
        'Maximum number of unfinished jobs of one user; jobs of batches are counted separately, up to half as many. Without a login there is no such limit.',
      ),
    templatesPerUser: count
      .default(200)
      .describe(
        'Maximum number of templates of one user, including those removed or replaced within the last day.',
      ),
    templateBytes: count
      .default(2 ** 29)
      .describe('Maximum size of all templates in the database, in bytes.'),
    fitsAtOnce: count
      .max(64)
      .default(4)
      .describe(
        'Maximum number of stains, previews and templates that are computed at the same time; one user gets at most half of these slots.',
      ),
    fitsPerUser: count
      .default(16)
      .describe(
        'Maximum number of stains, previews and templates of one user that are being computed or waiting; further ones are refused.',
      ),
    fitTimeoutSeconds: z
      .number()
      .positive()
      .max(3600)
      .default(300)
      .describe('Time limit for one stain, preview or template, in seconds.'),
    requestsPerSecond: count
      .default(50)
      .describe(
        'Requests per second from one user (or address) to the API; twenty times as many to the archive behind it.',
      ),
    requestsPerSecondPerAddress: count
      .default(1000)
      .describe(
        'Requests of any kind per second from one address (IPv6: one /64), counted before the login.',
      ),
    eventStreamsPerUser: count
      .default(32)
      .describe('Maximum number of event streams that one user (or address) may have open in one process.'),
    eventStreams: count
      .default(1000)
      .describe('Maximum number of event streams of all users in one process.'),
  }),
  output: z.strictObject({
    encoding: z
      .enum(OUTPUT_ENCODINGS)
      .default(DEFAULT_OUTPUT.encoding)
      .describe('Encoding of the result if a request names none: jpeg, htj2k or jpeg2000.'),
    quality: z
      .int()
      .min(1)
      .max(100)
      .default(DEFAULT_OUTPUT.quality)
      .describe('JPEG quality if a request names none.'),
  }),
  colour: z.strictObject({
    onInvalidProfile: z
      .enum(['refuse', 'ignore'])
      .default('refuse')
      .describe('refuse: a slide with a broken ICC profile fails. ignore: it is treated as sRGB.'),
  }),
  database: z.strictObject({
    directory: folder('./var/database', 'Folder of the embedded database (PGlite).'),
    url: z
      .url({
        protocol: /^postgres(ql)?$/,
        error:
          'must be postgres://role:password@host:port/database; a special character is %2F for /, %40 for @',
      })
      .optional()
      .describe(
        'URL of a PostgreSQL database, instead of the embedded one, for several processes that share a queue. DATABASE_URL works too. Secret if it holds a password.',
      ),
  }),
  audit: z.strictObject({
    file: z
      .string()
      .min(1)
      .optional()
      .describe('File for the audit trail, one for each process. SIGHUP reopens it, for logrotate.'),
    keyFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        'File with the key (at least 32 bytes) that seals the lines of the audit trail: without the key nobody can rewrite it unnoticed.',
      ),
    anchorMinutes: z
      .number()
      .min(0.1)
      .max(1440)
      .default(15)
      .describe(
        'How often the number and digest of the last line are written to the database and to syslog, so that later cuts are noticed. In minutes.',
      ),
    anchorKeepDays: z
      .number()
      .min(1)
      .optional()
      .describe(
        'Days for which these anchors are kept in the database: at least as long as the files of the trail. If not set, for good.',
      ),
    syslog: z.strictObject({
      host: z
        .string()
        .min(1)
        .optional()
        .describe('Receiver of the audit trail by syslog over TLS (RFC 5425).'),
      port: z.int().min(1).max(65_535).default(6514).describe('Port of that receiver.'),
      caFile: z
        .string()
        .min(1)
        .optional()
        .describe('CA certificates (PEM) for verifying that receiver, instead of the default ones.'),
      certFile: z.string().min(1).optional().describe('Client certificate for that receiver (PEM).'),
      keyFile: z.string().min(1).optional().describe('Private key of the client certificate (PEM).'),
    }),
  }),
  monitoring: z.strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('Address of a separate listener for metrics and probes only, without a login.'),
    port: z
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe(
        'Port for /metrics, /health and /ready. Without it, a service serves them on its own port, and a worker does not serve them.',
      ),
  }),
  log: z.strictObject({
    level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
      .default('info')
      .describe('Lowest level that is logged.'),
  }),
});

export type Config = z.infer<typeof schema>;

/** Names of all archives, the default one first. */
export function archiveNames({ archives }: Pick<Config, 'archives'>): string[] {
  return [DEFAULT_ARCHIVE, ...Object.keys(archives)];
}

export interface ConfigRow {
  /** Path in the JSON file, separated by dots. */
  readonly key: string;
  readonly env: string;
  /** As JSON; empty without a default. */
  readonly default: string;
  readonly meaning: string;
}

export interface ConfigSources {
  /** JSON file; if undefined, STAIN_CONFIG names it. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * @throws CONFIGURATION_INVALID; the message names the key and where it was set, but never a value, which may be secret
 */
export function loadConfig({ file, env }: ConfigSources): Config {
  // Empty is unset, as with all other variables.
  const path = file ?? (env['STAIN_CONFIG'] || undefined);
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
    const why = issue.code === 'invalid_key' ? issue.issues : [issue];
    return `${key || 'configuration'} (${origin}): ${why.map(describeIssue).join(', ')}`;
  });
  throw invalid(problems.join('; '), { keys: parsed.error.issues.map((issue) => issue.path.join('.')) });
}

/** In our words where those of zod are for programmers. */
function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_type') return issue.message;
  if (issue.expected === 'number') return 'must be a number';
  return issue.expected === 'int' ? 'must be a whole number' : issue.message;
}

/** Every key with its environment variable, default and meaning; docs/configuration.md is generated from this. */
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

/** What can be said of a named archive, for the same page. */
export function describeArchive(): Omit<ConfigRow, 'env'>[] {
  return Object.entries(namedArchive.shape).map(([key, field]) => {
    const fallback = field.safeParse(undefined).data;
    return {
      key,
      default: fallback === undefined ? '' : JSON.stringify(fallback),
      meaning: field.description ?? '',
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

/** A mistyped variable would be silently ignored; only our own sections are checked. */
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
    // Editors on Windows begin a file with a byte order mark.
    json = JSON.parse(readFileSync(path, 'utf8').replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw invalid(`The file ${path} ${jsonFault(cause)}`, {}, cause);
  }
  if (!isObject(json)) throw invalid(`The file ${path} does not contain a JSON object.`);
  return json;
}

/**
 * Converts an environment variable to the type of its key. What cannot be converted is left for the schema to refuse.
 */
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
      return text.trimStart().startsWith('[')
        ? fromJson(text, 'list', variable)
        : text.split(',').map((part) => part.trim());
    case 'record':
      return fromJson(text, 'object', variable);
    default:
      return text;
  }
}

function fromJson(text: string, what: string, variable: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`${variable} is not a JSON ${what}.`, { keys: [variable] }, cause);
  }
}

/** Sets a nested value, unless something that is not an object is in the way: the schema will report that. */
function assign(values: Record<string, unknown>, key: string, value: unknown): void {
  const section = addSections(values, key);
  if (section) section[key.slice(key.lastIndexOf('.') + 1)] = value;
}

/** The section that contains `key`, created if missing, so that the defaults inside it apply. */
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
