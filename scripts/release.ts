/**
 * Makes a release from the working tree: one version in every file that states it, a dated changelog, a commit and a
 * tag. Pushes nothing.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageJson from '../package.json' with { type: 'json' };
import { readArguments } from './arguments.ts';
import { datedChangelog, withVersion } from './release-files.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

const { positionals } = readArguments({
  usage: 'npm run release -- VERSION',
  about: `Sets the version in all package.json files, the lock file and the documents, dates the changelog, commits and
tags. The working tree must be clean. Pushes nothing. The version is now ${packageJson.version}.`,
  positionals: [1, 1],
  options: {},
});
const version = positionals[0]!;

try {
  if (run('git', 'status', '--porcelain') !== '')
    throw new Error('The working tree is not clean: commit first.');
  const changes: [path: string, change: (text: string) => string][] = [
    ['CHANGELOG.md', (text) => datedChangelog(text, version, new Date())],
    ...['package.json', 'server/package.json', 'extension/package.json', 'docs/conformance.md'].map(
      (path): [string, (text: string) => string] => [
        path,
        (text) => withVersion(text, packageJson.version, version),
      ],
    ),
  ];
  // All are computed before the first is written.
  const files = changes.map(([path, change]) => [
    join(root, path),
    change(readFileSync(join(root, path), 'utf8')),
  ]);
  for (const [path, text] of files) writeFileSync(path!, text!);
  run('npm', 'install', '--package-lock-only', '--ignore-scripts');
  run('git', 'commit', '--quiet', '--all', '--message', `Release ${version}`);
  run('git', 'tag', '--annotate', `v${version}`, '--message', version);
  console.log(`Version ${version} is committed and tagged v${version}. Nothing was pushed.`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
