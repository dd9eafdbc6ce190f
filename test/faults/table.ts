/**
 * Runs around the suite: collects the records of the tests, prints them as a table, and writes it to STAIN_FAULTS_OUT.
 */
import { randomInt } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import type { Entry } from './record.ts';

const INTRODUCTION = `# Faults

Made by \`npm run test:faults\`: real processes, a real PostgreSQL, a real Orthanc and the embedded archive behind a proxy
that fails on purpose. Each fault is caused while a slide is normalised; afterwards the derived series must be in the archive
once, with the bytes that an undisturbed job stores. Lost: a job that did not succeed, or a missing series. Duplicated: a
surplus series, instance or job. Wrong: different bytes, a base level without its other levels, something left over in the
spool or in the queue.
`;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'fault-table-'));
  const log = join(folder, 'log');
  await writeFile(log, '');
  project.provide('faultLog', log);
  const seed = process.env.STAIN_FAULTS_SEED ?? String(randomInt(1e9));
  project.provide('faultSeed', seed);
  return async () => {
    const entries = merge((await readFile(log, 'utf8')).trim().split('\n').filter(Boolean).map(parse));
    await rm(folder, { recursive: true });
    if (entries.length === 0) return;
    const table = markdown(entries);
    process.stdout.write(`\n${table}\n`);
    const out = process.env.STAIN_FAULTS_OUT;
    if (!out) return;
    await writeFile(`${out}.md`, `${INTRODUCTION}\n${table}`);
    const facts = { date: new Date().toISOString(), cores: availableParallelism(), seed, faults: entries };
    await writeFile(`${out}.json`, `${JSON.stringify(facts, undefined, 2)}\n`);
  };
}

function parse(line: string): Entry {
  return JSON.parse(line) as Entry;
}

/** One row per fault, in order of first occurrence, and the total. */
function merge(entries: readonly Entry[]): Entry[] {
  const faults = new Map<string, Entry>();
  const add = (fault: string, { times, lost, duplicated, wrong }: Entry): void => {
    const sum = faults.get(fault) ?? { fault, times: 0, lost: 0, duplicated: 0, wrong: 0 };
    faults.set(fault, {
      fault,
      times: sum.times + times,
      lost: sum.lost + lost,
      duplicated: sum.duplicated + duplicated,
      wrong: sum.wrong + wrong,
    });
  };
  for (const entry of entries) add(entry.fault, entry);
  for (const entry of entries) add('all', entry);
  return [...faults.values()];
}

function markdown(entries: readonly Entry[]): string {
  const rows = [
    ['fault', 'times', 'lost', 'duplicated', 'wrong'],
    ...entries.map((entry) => [
      entry.fault,
      ...[entry.times, entry.lost, entry.duplicated, entry.wrong].map(String),
    ]),
  ];
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]!.length));
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, i) => (i === 0 ? text.padEnd(width(i)) : text.padStart(width(i)))).join(' | ')} |`;
  const rule = `| ${rows[0]!.map((_, i) => (i === 0 ? '-'.repeat(width(i)) : `${'-'.repeat(width(i) - 1)}:`)).join(' | ')} |`;
  return `${[line(rows[0]!), rule, ...rows.slice(1).map(line)].join('\n')}\n`;
}
