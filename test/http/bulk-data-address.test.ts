import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BulkDataAddresses } from '../../server/src/http/bulk-data-address.ts';

const ROOT = new URL('https://archive.example/rs/');
const addresses = new BulkDataAddresses(ROOT, randomBytes(32));
const source = {
  base: new URL('https://archive.example/rs/studies/1.2/series/1.3/metadata'),
  forwardedOrigin: 'http://service.example:3080',
  study: '1.2',
  user: 'alice',
};

describe('a bulk data URL', () => {
  it.each([
    ['absolute', 'https://archive.example/rs/studies/1.2/series/1.3/instances/1.4/bulk/00282000'],
    [
      'with the host that Forwarded names',
      'http://service.example:3080/rs/studies/1.2/bulkdata/x?offset=1&length=2',
    ],
    ['relative to the answer', '../../bulkdata/abc'],
    ['a path', '/rs/bulkdata/1'],
  ])('of the archive, %s, comes back unchanged', (_kind, address) => {
    const token = addresses.tokenOf(address, source)!;
    const { pathname, search } = new URL(address, source.base);
    expect(addresses.open(token, 'alice')).toEqual({ study: '1.2', target: pathname + search });
    // The token does not depend on the time, so that cached metadata remain valid.
    expect(addresses.tokenOf(address, source)).toBe(token);
  });

  it.each([
    ['of another host', 'https://evil.example/rs/studies/1.2/bulk'],
    ['of another port', 'https://archive.example:8443/rs/studies/1.2/bulk'],
    ['of another protocol', 'http://archive.example/rs/studies/1.2/bulk'],
    ['with a user', 'https://me@archive.example/rs/studies/1.2/bulk'],
    ['beside the root', 'https://archive.example/system'],
    ['above the root', 'https://archive.example/rs/../system'],
    ['with encoded dots', 'https://archive.example/rs/%2e%2e/system'],
    ['with an encoded slash', 'https://archive.example/rs/..%2f..%2fsystem'],
    ['with a back slash', 'https://archive.example/rs\\..\\system'],
    ['with matrix parameters', 'https://archive.example/rs/..;/system'],
    ['with an empty segment', 'https://archive.example/rs//system'],
    ['with a fragment', 'https://archive.example/rs/studies/1.2/bulk#x'],
    ['of another study', 'https://archive.example/rs/studies/1.3/bulk'],
    ['the root itself', 'https://archive.example/rs/'],
    ['with a script', 'javascript:alert(1)'],
    ['of a file', 'file:///etc/passwd'],
    ['that is too long', `https://archive.example/rs/${'x'.repeat(3000)}`],
    ['that is malformed', 'https://[x'],
  ])('%s gets no token', (_kind, address) => {
    expect(addresses.tokenOf(address, source)).toBeUndefined();
  });

  it('in a search result belongs to the study that it names, or to none', () => {
    const search = { ...source, study: undefined };
    const token = addresses.tokenOf('https://archive.example/rs/studies/9.9/bulk', search)!;
    expect(addresses.open(token, 'alice').study).toBe('9.9');
    expect(addresses.tokenOf('https://archive.example/rs/bulkdata/1', search)).toBeUndefined();
  });
});

describe('a token opens nothing', () => {
  const token = addresses.tokenOf('/rs/bulkdata/1', source)!;
  const nothing = expect.objectContaining({ code: 'NOT_FOUND' });

  it('for another user', () => expect(() => addresses.open(token, 'bob')).toThrow(nothing));

  it('at another archive', () => {
    const key = randomBytes(32);
    const [one, other] = ['https://a.example/rs/', 'https://b.example/rs/'].map(
      (root) => new BulkDataAddresses(new URL(root), key),
    );
    const its = one!.tokenOf('/rs/x', { ...source, base: new URL('https://a.example/rs/') })!;
    expect(() => other!.open(its, 'alice')).toThrow(nothing);
  });

  it('after any change', () => {
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...'ABCabc019-_.'), (at, letter) => {
        const forged = token.slice(0, at) + letter + token.slice(at + 1);
        const opened = () => addresses.open(forged, 'alice');
        // The last letter of a base64url text has unused bits.
        if (forged === token || at === token.length - 1) return;
        expect(opened).toThrow(nothing);
      }),
    );
  });

  it('with the signature of another payload', () => {
    const other = addresses.tokenOf('/rs/bulkdata/2', source)!;
    const mixed = `${token.split('.')[0]}.${other.split('.')[1]}`;
    expect(() => addresses.open(mixed, 'alice')).toThrow(nothing);
    for (const none of ['', '.', 'x', `${token.split('.')[0]}.`])
      expect(() => addresses.open(none, 'alice')).toThrow(nothing);
  });
});
