/** What the service believes about the client of a request that comes through a reverse proxy. */
import { Router } from 'express';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import { NO_BATCHES, NO_JOBS, startApp } from '../support/test-app.ts';

let open: AsyncDisposableStack;
afterEach(() => open.disposeAsync());

const FORWARDED = {
  'X-Forwarded-For': '192.0.2.7',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'stain.example.org',
};

/** @returns the address that the archive would write into its responses, and the address in the audit trail */
async function seenThrough(trustedProxies: string, forwarded: Record<string, string> = FORWARDED) {
  open = new AsyncDisposableStack();
  const addresses: (string | undefined)[] = [];
  const app = open.use(
    await startApp(NO_JOBS, {
      config: loadConfig({
        env: {
          STAIN_SERVER_TRUSTED_PROXIES: trustedProxies,
          STAIN_SERVER_ALLOWED_HOSTS: 'stain.example.org',
        },
      }),
      batches: NO_BATCHES,
      archiveRouter: Router().use(
        ({ protocol, host }, response) => void response.send(`${protocol}://${host}`),
      ),
      audit: { record: ({ address }) => addresses.push(address) },
    }),
  );
  const origin = await (await fetch(`${app.url}/dicom-web/studies`, { headers: forwarded })).text();
  await fetch(`${app.url}/api/normalizations`, { method: 'POST', headers: forwarded });
  return { ownOrigin: app.url, origin, addresses };
}

describe('behind a reverse proxy', () => {
  it.each(['127.0.0.1', '10.0.0.0/8, 127.0.0.0/8'])(
    'that is trusted as %s: what it says',
    async (trusted) => {
      expect(await seenThrough(trusted)).toMatchObject({
        origin: 'https://stain.example.org',
        addresses: ['192.0.2.7'],
      });
    },
  );

  it.each(['', '192.0.2.1'])('that is not in "%s": nothing it says is used', async (trusted) => {
    const { ownOrigin, origin, addresses } = await seenThrough(trusted);
    expect(origin).toBe(ownOrigin);
    expect(addresses).toEqual(['127.0.0.1']);
  });

  it.each([
    ['192.0.2.7:5678', '192.0.2.7'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]:5678', '2001:db8::1'],
    ['unknown', '127.0.0.1'],
    ['alice from the pathology', '127.0.0.1'],
  ])('that says %s: no port, and no arbitrary text', async (said, expected) => {
    const { addresses } = await seenThrough('127.0.0.1', { 'X-Forwarded-For': said });
    expect(addresses).toEqual([expected]);
  });

  it('anything but an address or network is refused', () => {
    for (const text of ['loopback', 'proxy.example', '10.0.0.0/33', 'true'])
      expect(() => loadConfig({ env: { STAIN_SERVER_TRUSTED_PROXIES: text } })).toThrow(/trustedProxies/);
  });
});
