/**
 * Documents for operators, checked against the code: the files, settings, codes, metrics and private attributes that
 * they name.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '../core/src/errors.ts';
import { describeConfig } from '../server/src/config.ts';
import { PRIVATE_CREATOR, PRIVATE_GROUP, privateBlock } from '../server/src/derived/private-block.ts';
import type { JobService } from '../server/src/jobs/job-service.ts';
import { record } from './derived/derive-for-tests.ts';
import { repository } from './support/peers.ts';
import { testMetrics } from './support/test-app.ts';

const PAPERS = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'deploy/README.md',
  'deploy/kubernetes/README.md',
  ...readdirSync(join(repository, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
/** Everything between backticks. */
const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);
const operations = read('docs/operations.md');

describe.each(PAPERS)('%s', (paper) => {
  const text = read(paper);

  it('names files that there are', () => {
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map(([, link]) =>
      join(dirname(paper), link!.split('#')[0]!),
    );
    const paths = quoted(text).filter((code) =>
      /^(test|server|core|extension\/src|models|scripts|docs|deploy)\/\S*$/.test(code),
    );
    for (const path of [...links, ...paths]) expect(existsSync(join(repository, path)), path).toBe(true);
  });

  it('names settings that there are', () => {
    const keys = describeConfig().map(({ key }) => key);
    const sections = new Set(keys.filter((key) => key.includes('.')).map((key) => key.split('.')[0]!));
    const settings = quoted(text).filter((code) => /^[a-z]+\.[\w.]+(\.\*)?$|^[a-z]+\.\*$/.test(code));
    const ours = settings.filter((code) => sections.has(code.split('.')[0]!) && !code.endsWith('.ts'));
    const isThere = (name: string): boolean =>
      keys.some((key) => key === name || key.startsWith(`${name.replace(/\.\*$/, '')}.`));
    expect(ours.filter((name) => !isThere(name))).toEqual([]);
  });
});

describe('docs/operations.md', () => {
  it('names codes that there are', () => {
    const rows = operations.slice(operations.indexOf('## What to do when'));
    const codes = quoted(rows).filter((code) => /^[A-Z]+_[A-Z_]+$/.test(code));
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => !(code in ERROR_TABLE))).toEqual([]);
  });

  it('names all metrics, and none that there is not', async () => {
    const jobs = { statistics: async () => ({ byState: {}, oldestWaitingSeconds: 0 }) } as JobService;
    const exported = [...(await testMetrics(jobs).text()).matchAll(/^# TYPE (stain_\w+)/gm)].map(
      ([, name]) => name!,
    );
    const told = new Set([...operations.matchAll(/\bstain_[a-z_]+/g)].map(([name]) => name));
    expect(told).toEqual(new Set(exported));
  });

  it('names the variables of compose.yaml', () => {
    const variables = new Set([...read('compose.yaml').matchAll(/\$\{(\w+):/g)].map(([, name]) => name!));
    for (const name of variables) expect(operations, name).toContain(`\`${name}\``);
  });
});

it('docs/conformance.md names every private attribute, and no other', () => {
  const text = read('docs/conformance.md');
  expect(text).toContain(`group ${PRIVATE_GROUP}, creator \`${PRIVATE_CREATOR}\``);
  const told = [...text.matchAll(/\(3401,xx(\w\w)\)/g)].map(([, element]) => `340110${element}`);
  const written = privateBlock(record()).map(({ tag }) => tag);
  expect(new Set(told)).toEqual(new Set(written.filter((tag) => tag !== '34010010')));
});
