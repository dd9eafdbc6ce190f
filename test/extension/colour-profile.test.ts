/** What ICC profiles call themselves. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isProfile, profileName } from '../../extension/src/microscopy/colour-profile.ts';
import { ADOBE_RGB, matrixProfile } from '../codec/profiles.ts';
import { runs } from '../support/property-runs.ts';

const profile = matrixProfile(ADOBE_RGB, 2.2);

/** Version 4: in several languages, as UTF-16. */
function ofVersion4(name: string): Buffer {
  const text = Buffer.from(name, 'utf16le').swap16();
  const tag = Buffer.alloc(28);
  tag.write('mluc', 0, 'latin1');
  tag.writeUInt32BE(1, 8);
  tag.writeUInt32BE(12, 12);
  tag.write('deDE', 16, 'latin1');
  tag.writeUInt32BE(text.length, 20);
  tag.writeUInt32BE(28, 24);
  const table = Buffer.alloc(16);
  table.writeUInt32BE(1, 0);
  table.write('desc', 4, 'latin1');
  table.writeUInt32BE(144, 8);
  table.writeUInt32BE(28 + text.length, 12);
  return Buffer.concat([Buffer.alloc(128), table, tag, text]);
}

it('is read from profiles of version 2 and 4', () => {
  expect(profileName(profile)).toBe('test');
  expect(profileName(new Uint8Array(profile).buffer)).toBe('test');
  expect(profileName(ofVersion4('Scanner grün'))).toBe('Scanner grün');
});

it('is not there in a profile without one, or in none', () => {
  expect(profileName(ofVersion4(''))).toBeNull();
  expect(profileName(new Uint8Array(0))).toBeNull();
});

it('is looked for in profiles only', () => {
  expect(isProfile(profile)).toBe(true);
  expect(isProfile(new Uint8Array(profile).buffer)).toBe(true);
  expect(isProfile(new TextEncoder().encode('<!doctype html>'.padEnd(600)))).toBe(false);
  expect(isProfile(new Uint8Array(0))).toBe(false);
});

it('of a damaged profile is a text or nothing', () => {
  fc.assert(
    fc.property(fc.nat(profile.length - 1), fc.nat(255), fc.nat(profile.length), (at, value, length) => {
      const damaged = Uint8Array.from(profile.subarray(0, length));
      if (at < length) damaged[at] = value;
      expect(['string', 'object']).toContain(typeof profileName(damaged));
    }),
    { numRuns: runs(500) },
  );
});
