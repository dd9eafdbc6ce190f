/** The credentials of a named archive: read from files and variables, sent to it and nowhere else, and never shown. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { namedArchiveSettings } from '../../server/src/auth/archive-settings.ts';
import { loadConfig } from '../../server/src/config.ts';
import { startIssuer } from '../support/issuer.ts';

const folder = mkdtempSync(join(tmpdir(), 'stain-archive-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

let files = 0;
function file(text: string): { file: string } {
  const path = join(folder, `secret-${files++}`);
  writeFileSync(path, text);
  return { file: path };
}

async function settingsOf(archive: object) {
  const vendor = { url: 'https://pacs.example/dicom-web', ...archive };
  const { archives } = loadConfig({ env: { STAIN_ARCHIVES: JSON.stringify({ vendor }) } });
  return namedArchiveSettings('vendor', archives['vendor']!);
}
const headersOf = async (archive: object) => (await settingsOf(archive)).credentials.service();

describe('a named archive', () => {
  it('gets user and password, in UTF-8', async () => {
    const headers = await headersOf({ basic: { user: 'päthologie', password: file('geheim ß\n') } });
    const [, pair] = /^Basic (.+)$/.exec(headers['Authorization']!)!;
    expect(Buffer.from(pair!, 'base64').toString()).toBe('päthologie:geheim ß');
  });

  it('gets a token', async () => {
    vi.stubEnv('VENDOR_TOKEN', 't0ken');
    expect(await headersOf({ bearer: { env: 'VENDOR_TOKEN' } })).toEqual({ Authorization: 'Bearer t0ken' });
  });

  it('gets tokens of an issuer', async () => {
    await using issuer = await startIssuer(['stain']);
    const oauth = {
      tokenEndpoint: `${issuer.url}/token`,
      clientId: 'stain',
      clientSecret: file('secret'),
      scope: 'stain.read',
    };
    const headers = await headersOf({ oauth });
    expect(decodeJwt(headers['Authorization']!.replace('Bearer ', '')).sub).toBe('stain');
  });

  it('gets nothing without credentials', async () => {
    expect(await headersOf({})).toEqual({});
  });

  it('is reached through its own proxy, with its own credentials', async () => {
    const proxy = { url: 'http://proxy.example:3128', basic: { user: 'u', password: file('p') } };
    const { credentials, profile } = await settingsOf({
      proxy,
      maxConnections: 3,
      profile: { paging: 'none' },
    });
    expect(credentials.reach).toMatchObject({
      proxy: { url: proxy.url, authorization: `Basic ${Buffer.from('u:p').toString('base64')}` },
      maxConnections: 3,
    });
    expect(profile).toEqual({ paging: 'none' });
  });

  it.each([
    ['a missing file', { bearer: { file: '/nowhere/token' } }, /archives\.vendor\.bearer: .*ENOENT/],
    ['an empty file', { bearer: file('\n') }, /archives\.vendor\.bearer: the file is empty/],
    ['a missing variable', { bearer: { env: 'NO_SUCH' } }, /archives\.vendor\.bearer: the variable NO_SUCH/],
    [
      'a certificate that cannot be read',
      { tls: { caFile: '/nowhere/ca.pem' } },
      /archives\.vendor\.tls\.caFile: .*ENOENT/,
    ],
    [
      'a certificate without its key',
      { tls: { certFile: '/nowhere/a.pem' } },
      /archives\.vendor\.tls\.keyFile/,
    ],
  ])('is refused with %s', async (_name, archive, message) => {
    await expect(settingsOf(archive)).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringMatching(message),
    });
  });

  it('is refused with a secret of several lines, which is not shown', async () => {
    await expect(settingsOf({ bearer: file('s3cret\nX-Other: s3cret') })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.not.stringContaining('s3cret'),
    });
  });
});
