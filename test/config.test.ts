import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeArchive, describeConfig, loadConfig } from '../server/src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'stain-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, 'config.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

describe('the configuration', () => {
  it('has defaults for everything', () => {
    const config = loadConfig({ env: {} });
    expect(config).toMatchObject({
      server: { host: '127.0.0.1', port: 3080 },
      output: { encoding: 'jpeg', quality: 90 },
      device: 'auto',
    });
    expect(config.dicomweb.url).toBeUndefined();
  });

  it('takes the environment before the file, and the file before the defaults', () => {
    const path = file({ server: { port: 1, host: '::1' }, threads: 3 });
    const { server, threads } = loadConfig({ file: path, env: { STAIN_SERVER_PORT: '2' } });
    expect({ ...server, threads }).toMatchObject({ port: 2, host: '::1', basePath: '', threads: 3 });
    expect(loadConfig({ env: { STAIN_CONFIG: path } }).server.port).toBe(1);
    expect(loadConfig({ env: { STAIN_SERVER_PORT: '' } }).server.port).toBe(3080);
    expect(loadConfig({ env: { STAIN_CONFIG: '', STAIN_SERVER_PORT: '' } }).server.port).toBe(3080);
  });

  it('reads each type from the environment', () => {
    const config = loadConfig({
      env: {
        STAIN_DICOMWEB_HEADERS: '{"Authorization":"Bearer x"}',
        STAIN_DICOMWEB_TIMEOUT_SECONDS: '1.5',
        STAIN_SERVER_ALLOWED_ORIGINS: 'https://a.example, http://b.example:81',
        STAIN_DEVICE: 'cuda:1',
        STAIN_VIEWER_ENABLED: 'false',
        STAIN_ARCHIVE_SAMPLE: 'true',
      },
    });
    expect(config.dicomweb).toMatchObject({ headers: { Authorization: 'Bearer x' }, timeoutSeconds: 1.5 });
    expect(config.server.allowedOrigins).toEqual(['https://a.example', 'http://b.example:81']);
    const asJson = loadConfig({
      env: { STAIN_SERVER_ALLOWED_ORIGINS: '["https://a.example", "http://b.example:81"]' },
    });
    expect(asJson.server.allowedOrigins).toEqual(config.server.allowedOrigins);
    expect(config.device).toBe('cuda:1');
    expect([config.viewer.enabled, config.archive.sample]).toEqual([false, true]);
  });

  it.each([
    ['a wrong type', { env: { STAIN_SERVER_PORT: 'many' } }, /server\.port \(STAIN_SERVER_PORT\)/],
    ['a blank number', { env: { STAIN_THREADS: ' ' } }, /threads \(STAIN_THREADS\)/],
    ['a switch that is neither on nor off', { env: { STAIN_VIEWER_ENABLED: 'no' } }, /STAIN_VIEWER_ENABLED/],
    ['an unknown device', { env: { STAIN_DEVICE: 'tpu' } }, /device \(STAIN_DEVICE\)/],
    ['a mistyped variable', { env: { STAIN_SERVER_PROT: '1' } }, /STAIN_SERVER_PROT/],
    ['headers that are not JSON', { env: { STAIN_DICOMWEB_HEADERS: 'Bearer x' } }, /STAIN_DICOMWEB_HEADERS/],
    [
      'a header that cannot be sent, as of a token with the newline of its file',
      { env: { STAIN_DICOMWEB_HEADERS: '{"Authorization":"Bearer x\\n"}' } },
      /dicomweb\.headers\.Authorization .*newline/,
    ],
    ['a header that is none', { env: { STAIN_DICOMWEB_HEADERS: '{"Bad Header":"x"}' } }, /name of a header/],
    ['a header of the connection', { env: { STAIN_DICOMWEB_HEADERS: '{"Host":"x"}' } }, /service itself/],
    ['an archive with a query', { env: { STAIN_DICOMWEB_URL: 'http://a/dicom-web?token=x' } }, /no query/],
    ['half a thread', { env: { STAIN_THREADS: '0.5' } }, /threads .*must be a whole number$/],
    ['a thousand threads', { env: { STAIN_THREADS: '1000' } }, /threads/],
    ['a list that is not JSON', { env: { STAIN_SERVER_ALLOWED_HOSTS: '["a' } }, /STAIN_SERVER_ALLOWED_HOSTS/],
    ['an unknown key in the file', { env: {}, content: { server: { prot: 1 } } }, /server .*prot/],
    [
      'a section that is no object',
      { env: { STAIN_SERVER_PORT: '1' }, content: { server: 4 } },
      /server \(.*config\.json\)/,
    ],
    ['a file that is not JSON', { env: {}, content: '{' }, /config\.json is not JSON/],
    [
      'the place in a file that is not JSON',
      { env: {}, content: '{\n  "server": { "port": 1, }\n}' },
      /config\.json is not JSON \(line 2 column \d+\)/,
    ],
    ['a size with a unit', { env: { STAIN_SPOOL_QUOTA_BYTES: '10GB' } }, /BYTES\): must be a number$/],
    [
      'a password in the URL of the database that is not encoded',
      { env: { STAIN_DATABASE_URL: 'postgres://stain:p/w@db/stain' } },
      /DATABASE_URL\): must be postgres:\/\/.* %2F/,
    ],
    ['a file that contains a list', { env: {}, content: [] }, /config\.json/],
    ...(
      [
        [
          'an archive named like the default one',
          { default: { url: 'http://a' } },
          /archives\.default .*dicomweb\.url/,
        ],
        ['an archive with a name for a path', { '../a': { url: 'http://a' } }, /archives\.\.\.\/a .*hyphens/],
        ['an archive without a URL', { vendor: {} }, /archives\.vendor\.url/],
        [
          'a password in the URL of an archive',
          { vendor: { url: 'http://u:s3cret@a' } },
          /vendor\.url .*"basic"/,
        ],
        [
          'an archive with two kinds of credentials',
          { vendor: { url: 'http://a', bearer: { env: 'A' }, basic: { user: 'u', password: { env: 'B' } } } },
          /archives\.vendor .*one of basic, bearer and oauth/,
        ],
        [
          'an archive that exchanges tokens nowhere',
          { vendor: { url: 'http://a', users: 'exchanged' } },
          /archives\.vendor .*requires oauth/,
        ],
        [
          'a secret in the file of settings',
          { vendor: { url: 'http://a', bearer: 's3cret' } },
          /vendor\.bearer .*"file"/,
        ],
        [
          'an unknown key of an archive',
          { vendor: { url: 'http://a', readOnly: true } },
          /vendor .*readOnly/,
        ],
      ] as const
    ).map(
      ([name, archives, message]) =>
        [name, { env: {}, content: { archives } }, message] as [
          string,
          { env: Record<string, string>; content: unknown },
          RegExp,
        ],
    ),
    ['a missing file', { env: { STAIN_CONFIG: '/nowhere.json' } }, /\/nowhere\.json cannot be read/],
  ])(
    'refuses %s and names it',
    (_name, { env, content }: { env: Record<string, string>; content?: unknown }, message) => {
      const sources = content === undefined ? { env } : { env, file: file(content) };
      expect(() => loadConfig(sources)).toThrow(
        expect.objectContaining({ code: 'CONFIGURATION_INVALID', message: expect.stringMatching(message) }),
      );
    },
  );

  it('reads a file that begins with a byte order mark', () => {
    expect(loadConfig({ file: file('\uFEFF{"device": "cpu"}'), env: {} }).device).toBe('cpu');
  });

  it('never shows a secret value in an error', () => {
    const env = {
      STAIN_ARCHIVES: '{"vendor": {"url": "http://u:s3cret@a", "bearer": "s3cret", "tls": "s3cret"}}',
      STAIN_DICOMWEB_HEADERS: '{"Authorization": 5, "X":"s3cret"',
      STAIN_DATABASE_URL: 'mysql://u:s3cret@h',
    };
    for (const name of Object.keys(env)) {
      const only = { [name]: env[name as keyof typeof env] };
      expect(() => loadConfig({ env: only })).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('s3cret') }),
      );
    }
  });

  it('names further archives, in the file or in the environment', () => {
    const archives = { vendor: { url: 'https://pacs.example/dicom-web', isReadOnly: true } };
    const { archives: found } = loadConfig({ file: file({ archives }), env: {} });
    expect(found['vendor']).toMatchObject({
      ...archives.vendor,
      users: 'known',
      tls: {},
      profile: {},
      timeoutSeconds: 300,
    });
    expect(loadConfig({ env: { STAIN_ARCHIVES: JSON.stringify(archives) } }).archives).toEqual(found);
    for (const { meaning } of describeArchive()) expect(meaning).not.toBe('');
  });

  it('describes every key, and each variable works', () => {
    const rows = describeConfig();
    expect(rows).toContainEqual({
      key: 'dicomweb.timeoutSeconds',
      env: 'STAIN_DICOMWEB_TIMEOUT_SECONDS',
      default: '300',
      meaning: expect.any(String),
    });
    const keysIn = (value: object, path: string): string[] =>
      Object.entries(value).flatMap(([name, inner]) =>
        typeof inner === 'object' && !Array.isArray(inner) ? keysIn(inner, `${path}${name}.`) : [path + name],
      );
    const keys = keysIn(loadConfig({ env: {} }), '');
    expect(rows.map(({ key }) => key)).toEqual(expect.arrayContaining(keys));
    for (const { meaning } of rows) expect(meaning).not.toBe('');
    for (const { env, default: fallback } of rows) {
      const text = fallback === '' ? undefined : fallback.replace(/["[\]]/g, '');
      expect(loadConfig({ env: { [env]: text } })).toEqual(loadConfig({ env: {} }));
    }
  });
});
