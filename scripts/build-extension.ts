/**
 * Builds the OHIF plugin: self-contained ES modules for loading at run time (extension/dist/plugin), and ESM and
 * UMD builds with types for those who build OHIF themselves (extension/dist).
 *
 *   npm run build:extension
 */
import { cp, mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('../extension/', import.meta.url));
const out = join(root, 'dist');
const plugin = join(out, 'plugin');

/** The decoders are the server's; only where their codecs are loaded from differs. */
const browserCodecs: Plugin = {
  name: 'browser-codecs',
  setup({ onResolve }) {
    onResolve({ filter: /\/codec-modules\.ts$/ }, () => ({
      path: join(root, 'src/preview/codec-modules.ts'),
    }));
  },
};

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  platform: 'browser',
  target: 'es2022',
  minify: true,
  sourcemap: true,
  legalComments: 'linked',
  logLevel: 'warning',
  plugins: [browserCodecs],
  // What Emscripten's modules ask for where they run under Node.
  external: ['fs', 'path', 'crypto', 'url', 'module', 'node:*'],
};

await rm(out, { recursive: true, force: true });
await build({
  ...common,
  format: 'esm',
  splitting: true,
  entryPoints: {
    'stain-normalization': 'src/extension.ts',
    'stain-normalization-mode': 'src/mode.ts',
    'preview-worker': 'src/preview/worker.ts',
  },
  outdir: plugin,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'chunks/[name]-[hash]',
  assetNames: 'codecs/[name]-[hash]',
  loader: { '.wasm': 'file' },
});
await build({ ...common, format: 'esm', entryPoints: { index: 'src/index.ts' }, outdir: out });
await build({
  ...common,
  format: 'iife',
  globalName: 'ohifExtensionStainNormalization',
  banner: { js: 'var stainPluginUrl = document.currentScript?.src ?? location.href;' },
  define: { 'import.meta.url': 'stainPluginUrl' },
  entryPoints: { 'index.umd': 'src/index.ts' },
  outdir: out,
});

// The runtime's WebAssembly is loaded when a preview is asked for, and only the build that the browser can run.
const runtime = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
await mkdir(join(plugin, 'ort'), { recursive: true });
for (const name of ['ort-wasm-simd-threaded', 'ort-wasm-simd-threaded.asyncify'])
  for (const end of ['mjs', 'wasm'])
    await cp(join(runtime, `${name}.${end}`), join(plugin, 'ort', `${name}.${end}`));
