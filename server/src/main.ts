#!/usr/bin/env -S node --max-semi-space-size=8
// V8 lets buffers that stream through pile up in proportion to this size: by default a slide of 8 gigapixels takes a fifth more memory.
// Nothing is imported before this check: an older Node cannot even read what follows, and its message names a file of ours.
const NEEDED = 24;
if (Number(process.versions.node.split('.')[0]) < NEEDED) {
  process.stderr.write(
    `stain-normalization needs Node.js ${NEEDED} or newer, and this is ${process.version}.\n`,
  );
  process.exit(1);
}
const { keepCompiledCode } = await import('./cli/compile-cache.ts');
await keepCompiledCode(process.env);
const { createProgram } = await import('./cli/program.ts');

await createProgram().parseAsync();
