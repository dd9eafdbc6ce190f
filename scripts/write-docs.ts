/** Writes the configuration table into README.md from the schema. test/readme.test.ts fails when it was forgotten. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describeConfig } from '../server/src/config.ts';

const BEGIN = '<!-- configuration table: npm run docs -->';
const END = '<!-- end of the configuration table -->';

export function withConfigurationTable(readme: string): string {
  const [before, rest] = readme.split(BEGIN) as [string, string];
  const after = rest.split(END).at(-1)!;
  const rows = describeConfig().map(
    ({ env, key, default: fallback, meaning }) =>
      `| \`${env}\` | \`${key}\` | ${fallback && `\`${fallback}\``} | ${meaning} |`,
  );
  const table = ['| variable | key | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
  return `${before}${BEGIN}\n${table}\n${END}${after}`;
}

export const README = new URL('../README.md', import.meta.url);

if (import.meta.main) writeFileSync(README, withConfigurationTable(readFileSync(README, 'utf8')));
