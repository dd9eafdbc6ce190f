/** Writes docs/configuration.md from the schema. test/readme.test.ts fails if that was forgotten. */
import { writeFileSync } from 'node:fs';
import { describeArchive, describeConfig } from '../server/src/config.ts';
import { readArguments } from './arguments.ts';

export const CONFIGURATION = new URL('../docs/configuration.md', import.meta.url);

const INTRODUCTION = `# Configuration

Made by \`npm run docs\` from the schema; do not edit.

Each setting has a key in a JSON file (\`--config FILE\` or \`STAIN_CONFIG\`) and an environment variable. The environment
overrides the file, and the file overrides the defaults. In the environment a list is written with commas, or as JSON like objects.`;

const ARCHIVES = `## Several archives

The archive of \`dicomweb.*\`, or the embedded one, is the default archive. \`archives\` gives further ones a name of
lower-case letters, digits and hyphens, and each has these keys: \`archives.vendor.url\` is the address of the one named
\`vendor\`. [operations.md](operations.md#several-archives) shows them in use.

A secret is never in this file: \`{"file": "/run/secrets/vendor"}\` names a file that holds it, and
\`{"env": "VENDOR_TOKEN"}\` an environment variable.`;

export function configurationPage(): string {
  const rows = describeConfig().map(
    ({ env, key, default: fallback, meaning }) =>
      `| \`${env}\` | \`${key}\` | ${fallback && `\`${fallback}\``} | ${meaning} |`,
  );
  const table = ['| variable | key | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
  const ofArchive = describeArchive().map(
    ({ key, default: fallback, meaning }) => `| \`${key}\` | ${fallback && `\`${fallback}\``} | ${meaning} |`,
  );
  const archives = ['| key | default | meaning |', '|---|---|---|', ...ofArchive].join('\n');
  return `${INTRODUCTION}\n\n${table}\n\n${ARCHIVES}\n\n${archives}\n`;
}

if (import.meta.main) {
  readArguments({
    usage: 'npm run docs',
    about: 'Writes docs/configuration.md from the schema of the configuration.',
    options: {},
  });
  writeFileSync(CONFIGURATION, configurationPage());
}
