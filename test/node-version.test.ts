/** The required Node version is in several files, because each tool reads its own. All must agree. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import extension from '../extension/package.json' with { type: 'json' };
import root from '../package.json' with { type: 'json' };
import server from '../server/package.json' with { type: 'json' };
import { repository } from './support/peers.ts';

const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const [pinned] = read('.nvmrc').split('\n') as [string];
const major = pinned.split('.')[0]!;

it('.nvmrc, the Node of the npm scripts and the container image are one version', () => {
  expect(root.devDependencies.node).toBe(pinned);
  expect(read('Dockerfile')).toContain(`node:${pinned}-`);
});

it.each([root, server, extension])('$name requires that major version', ({ engines }) => {
  expect(engines.node).toBe(`>=${major}`);
});

it('the program names that version to an older Node, in place of its raw error', () => {
  const older = `data:text/javascript,${encodeURIComponent("Object.defineProperty(process.versions, 'node', { value: '20.20.2' })")}`;
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--import', older, join(repository, 'server/src/main.ts'), '--version'],
    { encoding: 'utf8' },
  );
  expect(stderr).toMatch(
    new RegExp(`^stain-normalization needs Node\\.js ${major} or newer, and this is \\S+\\.\n$`),
  );
  expect(status).toBe(1);
});

it.each(['README.md', 'server/README.md'])('%s names that major version and no other', (path) => {
  const told = [...read(path).matchAll(/\bNode(?:\.js)? (\d+)/g)].map(([, version]) => version);
  expect(new Set(told)).toEqual(new Set([major]));
});
