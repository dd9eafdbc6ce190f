import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { README, withConfigurationTable } from '../scripts/write-docs.ts';

it('the configuration table of the README is that of the schema (npm run docs)', () => {
  const readme = readFileSync(README, 'utf8');
  expect(withConfigurationTable(readme)).toBe(readme);
});
