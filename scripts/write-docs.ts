/** Writes docs/configuration.md from the schema. test/readme.test.ts fails if that was forgotten. */
import { writeFileSync } from 'node:fs';
import { describeConfig } from '../server/src/config.ts';
import { readArguments } from './arguments.ts';

export const CONFIGURATION = new URL('../docs/configuration.md', import.meta.url);

const INTRODUCTION = `# Configuration

Made by \`npm run docs\` from the schema; do not edit.

Each setting has a key in a JSON file (\`--config FILE\` or \`STAIN_CONFIG\`) and an environment variable. The environment
overrides the file, and the file overrides the defaults.`;

export function configurationPage(): string {
  const rows = describeConfig().map(
    ({ env, key, default: fallback, meaning }) =>
      `| \`${env}\` | \`${key}\` | ${fallback && `\`${fallback}\``} | ${meaning} |`,
  );
  const table = ['| variable | key | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
  return `${INTRODUCTION}\n\n${table}\n`;
}

if (import.meta.main) {
  readArguments({
    usage: 'npm run docs',
    about: 'Writes docs/configuration.md from the schema of the configuration.',
    options: {},
  });
  writeFileSync(CONFIGURATION, configurationPage());
}
