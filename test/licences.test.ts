import { expect, it } from 'vitest';
import { isCompatible, shippedDependencies } from '../scripts/licences.ts';

const compatible = (licence: string, name = 'some-package'): boolean =>
  isCompatible({ name, version: '1.0.0', licence });

it('approves permissive licences, by their SPDX expression', () => {
  for (const licence of ['MIT', 'Apache-2.0', '(MIT AND Zlib)', '(GPL-3.0-only OR MIT)'])
    expect(compatible(licence), licence).toBe(true);
  for (const licence of [
    'GPL-3.0-or-later',
    'MIT AND AGPL-3.0-only',
    'SSPL-1.0',
    'UNLICENSED',
    'SEE LICENSE IN x',
    '',
  ])
    expect(compatible(licence), licence).toBe(false);
});

it('approves the LGPL only for the binary packages of sharp', () => {
  expect(compatible('LGPL-3.0-or-later', '@img/sharp-libvips-linux-x64')).toBe(true);
  expect(compatible('Apache-2.0 AND LGPL-3.0-or-later', '@img/sharp-win32-x64')).toBe(true);
  expect(compatible('LGPL-3.0-or-later')).toBe(false);
});

it('lists everything installed or bundled, once, without development tools and our own workspaces', () => {
  const packages = {
    '': { version: '0.1.0', license: 'Apache-2.0' },
    server: { version: '0.1.0', license: 'Apache-2.0' },
    'node_modules/ours': { link: true },
    'node_modules/@scope/b': { version: '2.0.0', license: 'ISC' },
    'server/node_modules/a': { version: '1.0.0', license: 'MIT' },
    'node_modules/c/node_modules/a': { version: '1.0.0', license: 'MIT' },
    'node_modules/d': { version: '1.0.0' },
    extension: { devDependencies: { bundled: '1.0.0' } },
    'node_modules/bundled': { version: '1.0.0', license: 'MIT', dev: true, dependencies: { within: '1' } },
    'node_modules/within': { version: '1.0.0', license: 'MIT', dev: true },
    'node_modules/tool': { version: '1.0.0', license: 'MIT', dev: true },
  };
  expect(shippedDependencies({ packages })).toEqual([
    { name: '@scope/b', version: '2.0.0', licence: 'ISC' },
    { name: 'a', version: '1.0.0', licence: 'MIT' },
    { name: 'bundled', version: '1.0.0', licence: 'MIT' },
    { name: 'd', version: '1.0.0', licence: '' },
    { name: 'within', version: '1.0.0', licence: 'MIT' },
  ]);
});
