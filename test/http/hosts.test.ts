/** Which hosts a request may name: the rules alone. test/security/browser.test.ts sends requests. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { apiHosts, hostOf, monitoringHosts, ownHosts } from '../../server/src/http/hosts.ts';
import { addressOf } from '../../server/src/http/rate-limit.ts';
import { runs } from '../support/property-runs.ts';

describe('the host in a header', () => {
  it.each([
    ['localhost:3080', 'localhost'],
    ['LocalHost', 'localhost'],
    ['localhost:', 'localhost'],
    ['127.0.0.1:65535', '127.0.0.1'],
    ['[::1]:3080', '[::1]'],
    ['[0:0:0:0:0:0:0:1]', '[::1]'],
    ['stain.example.', 'stain.example.'],
    ['stain_service', 'stain_service'],
  ])('%s is %s', (authority, host) => expect(hostOf(authority)).toBe(host));

  it.each([
    '',
    ':80',
    'localhost:65536',
    'localhost:000080',
    'localhost:80:80',
    'localhost:-1',
    'localhost, evil.example',
    'evil.example@localhost',
    'me:secret@localhost',
    'localhost/../evil.example',
    'localhost?evil.example',
    'localhost#',
    'local host',
    '[::1%25lo]',
    '[::1%lo]',
    '::1',
    '[::1',
    '[1.2]',
    '[]',
    'ex%61mple',
    'exämple',
    'a..b',
    '.localhost',
  ])('%j is malformed', (authority) => expect(hostOf(authority)).toBeUndefined());
});

describe('hosts of a service without a login', () => {
  const isOwn = apiHosts({ host: '127.0.0.1', allowedHosts: ['Stain.Example'] }, { isRequired: false });

  it.each(['127.0.0.1', '[::1]', 'localhost', 'stain.example'])('%s is one', (host) =>
    expect(isOwn(host)).toBe(true),
  );

  it.each([
    'evil.example',
    'localhost.evil.example',
    'localhost.',
    '127.0.0.1.',
    '127.0.0.1.nip.io',
    '127.0.0.2',
    '0.0.0.0',
    '10.1.2.3',
    'stain.example.evil.example',
    'evil-stain.example',
    '[::ffff:7f00:1]',
  ])('%s is not one', (host) => expect(isOwn(host)).toBe(false));

  test('only our names are, whatever precedes or follows them', () => {
    const own = ['127.0.0.1', '[::1]', 'localhost', 'stain.example'];
    const label = fc.stringMatching(/^[a-z0-9_-]{0,8}$/);
    fc.assert(
      fc.property(fc.constantFrom(...own), label, label, fc.boolean(), (name, before, after, dots) => {
        const joined = dots ? [before, name, after].filter(Boolean).join('.') : before + name + after;
        const host = hostOf(joined);
        if (host !== undefined && isOwn(host)) expect(own).toContain(host);
      }),
      { numRuns: runs(5000) },
    );
  });

  test('no header value is parsed wrongly', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const host = hostOf(text);
        // The result must be the host that a URL with this authority leads to.
        if (host !== undefined && URL.canParse(`http://${text}`))
          expect(hostOf(new URL(`http://${text}`).host)).toBeDefined();
        if (host !== undefined) expect(hostOf(host)).toBe(host);
      }),
      { numRuns: runs(5000) },
    );
  });
});

it('a service with a login accepts any host until some are configured', () => {
  const login = { isRequired: true };
  expect(apiHosts({ host: '0.0.0.0', allowedHosts: [] }, login)('10.1.2.3')).toBe(true);
  const isOwn = apiHosts({ host: '0.0.0.0', allowedHosts: ['stain.example'] }, login);
  expect(['stain.example', '10.1.2.3', '0.0.0.0'].map(isOwn)).toEqual([true, false, false]);
});

it('the listening address is a valid host', () => {
  expect(ownHosts({ host: '127.0.0.2' }, [])('127.0.0.2')).toBe(true);
  expect(ownHosts({ host: 'fd00::1' }, [])('[fd00::1]')).toBe(true);
});

it('the monitoring port accepts any address, but only the configured names', () => {
  const isOwn = monitoringHosts({ host: '0.0.0.0' }, ['stain-service.stain.svc']);
  const hosts = ['10.1.2.3', '[fd00::7]', 'localhost', 'stain-service.stain.svc', '10.1.2.3.nip.io', 'evil'];
  expect(hosts.map(isOwn)).toEqual([true, true, true, true, false, false]);
});

it('IPv4 addresses are counted one by one, IPv6 addresses by network', () => {
  expect(addressOf({ ip: '192.0.2.1' })).not.toBe(addressOf({ ip: '192.0.2.2' }));
  expect(addressOf({ ip: '2001:db8:1:2::1' })).toBe(addressOf({ ip: '2001:db8:1:2:ffff::9' }));
  expect(addressOf({ ip: '2001:db8:1:2::1' })).not.toBe(addressOf({ ip: '2001:db8:1:3::1' }));
  expect(addressOf({ ip: '::ffff:192.0.2.1' })).toBe(addressOf({ ip: '192.0.2.1' }));
});
