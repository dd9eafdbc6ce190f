/**
 * Builds the server as a package: JavaScript and types, and beside them what the code looks for from its own place
 * (models, templates, sample slide). server/dist then lies as the checkout does.
 *
 *   npm run build
 */
import { execFileSync } from 'node:child_process';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './arguments.ts';

readArguments({
  usage: 'npm run build',
  about: 'Builds the server as a package: JavaScript, types, models and the sample slide in server/dist.',
  options: {},
});
const root = fileURLToPath(new URL('..', import.meta.url));
const server = join(root, 'server');
const dist = join(server, 'dist');

await rm(dist, { recursive: true, force: true });
execFileSync('tsc', ['-p', join(server, 'tsconfig.build.json')], { stdio: 'inherit' });
// Weights are needed only for training.
await cp(join(root, 'models/onnx'), join(dist, 'models/onnx'), {
  recursive: true,
  filter: (path) => !path.endsWith('.npz'),
});
for (const path of ['scripts/sample', 'scripts/normalize_tile.py'])
  await cp(join(root, path), join(dist, path), { recursive: true });
await cp(join(root, 'LICENSE'), join(server, 'LICENSE'));
