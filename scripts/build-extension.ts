/**
 * Builds the OHIF plugin: self-contained ES modules for loading at run time (extension/dist/plugin), and an ES module
 * with types for those who build OHIF themselves (extension/dist).
 *
 *   npm run build:extension
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';
import extensionPackage from '../extension/package.json' with { type: 'json' };
import { compressFolder } from '../server/src/viewer/compress-folder.ts';
import { readArguments } from './arguments.ts';
import { keepReachable } from './keep-reachable.ts';

readArguments({
  usage: 'npm run build:extension',
  about: 'Builds the OHIF plugin (extension/dist/plugin) and the ES module with types (extension/dist).',
  options: {},
});
const root = fileURLToPath(new URL('../extension/', import.meta.url));
const out = join(root, 'dist');
const plugin = join(out, 'plugin');

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  platform: 'browser',
  target: 'es2022',
  minify: true,
  sourcemap: true,
  legalComments: 'linked',
  logLevel: 'warning',
  // Node modules that Emscripten's code imports when it runs under Node.
  external: ['fs', 'path', 'crypto', 'url', 'module', 'node:*'],
};

await rm(out, { recursive: true, force: true });
await build({
  ...common,
  format: 'esm',
  splitting: true,
  entryPoints: {
    'stain-normalization': 'src/extension.ts',
    'stain-normalization-mode': 'src/plugin-mode.ts',
    'preview-worker': 'src/preview/worker.ts',
  },
  outdir: plugin,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'chunks/[name]-[hash]',
  assetNames: 'codecs/[name]-[hash]',
  loader: { '.wasm': 'file' },
});
// Dependencies of the package are not bundled: a viewer build includes each once.
await build({
  ...common,
  external: Object.keys(extensionPackage.dependencies),
  format: 'esm',
  entryPoints: { index: 'src/index.ts' },
  outdir: out,
});
execFileSync('tsc', ['-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' });
await keepReachable(join(out, 'types'), 'extension/src/index.d.ts');
await cp(join(root, '../LICENSE'), join(root, 'LICENSE'));

// The runtime's WebAssembly is loaded for the first preview; only the build that browsers can run is included.
const runtime = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
await mkdir(join(plugin, 'ort'), { recursive: true });
for (const name of ['ort-wasm-simd-threaded', 'ort-wasm-simd-threaded.asyncify'])
  for (const end of ['mjs', 'wasm'])
    await cp(join(runtime, `${name}.${end}`), join(plugin, 'ort', `${name}.${end}`));
await compressFolder(plugin);
