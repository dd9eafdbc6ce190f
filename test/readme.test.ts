import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { README, withConfigurationTable } from '../scripts/write-docs.ts';

const readme = readFileSync(README, 'utf8');

it('the configuration table of the README is that of the schema (npm run docs)', () => {
  expect(withConfigurationTable(readme)).toBe(readme);
});

it('the pictures and pages that the README points to are there', () => {
  const links = [...readme.matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map(([, link]) => link!);
  expect(links.length).toBeGreaterThan(0);
  expect(links.filter((link) => !existsSync(new URL(link, README)))).toEqual([]);
});
