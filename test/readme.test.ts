/** README and docs/, checked against the files that they link to and the schema that they print. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { CONFIGURATION, configurationPage } from '../scripts/write-docs.ts';
import { repository } from './support/peers.ts';

const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const pages = readdirSync(join(repository, 'docs')).filter((name) => name.endsWith('.md'));
/** Relative links, with their anchors. */
const linksOf = (text: string): string[] =>
  [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link]) => link!);

/** Like GitHub's anchors of headings. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

it('docs/configuration.md matches the schema (npm run docs)', () => {
  expect(readFileSync(CONFIGURATION, 'utf8')).toBe(configurationPage());
});

it('the README can be read in five minutes: 6 KB at most', () => {
  expect(statSync(join(repository, 'README.md')).size).toBeLessThanOrEqual(6000);
});

it('the index of docs/ names every page', () => {
  const named = linksOf(read('docs/README.md'));
  expect(pages.filter((page) => page !== 'README.md' && !named.includes(page))).toEqual([]);
});

it.each([
  'README.md',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'scripts/README.md',
  'models/onnx/README.md',
  'deploy/kubernetes/README.md',
  ...pages.map((page) => `docs/${page}`),
])('pages, pictures and headings that %s links to exist', (page) => {
  const broken = linksOf(read(page)).filter((link) => {
    const [path, anchor] = link.split('#') as [string, string?];
    const target = path === '' ? page : join(dirname(page), path);
    if (!existsSync(join(repository, target))) return true;
    return anchor !== undefined && !anchorsOf(read(target)).includes(anchor);
  });
  expect(broken).toEqual([]);
});
