/**
 * Fuzzes every reader of foreign bytes: `npm run test:fuzz`. Ends with 1 where an input crashes or hangs a reader, takes
 * much memory, or gives an error that is not of the table (or INTERNAL). Such an input is kept in var/fuzz.
 *
 *   --seed N             the same mutants again; printed at the start
 *   --target NAME        one reader only
 *   --first N --count M  these inputs of it
 *   --scale X            X times as many inputs as usual
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from '../../scripts/arguments.ts';
import { mutant } from './mutate.ts';
import { supervise } from './supervise.ts';
import { targets } from './targets.ts';

/** CharLS counts absent bits for some seconds; the codec pool ends a thread after a minute. */
const HANG_SECONDS = 20;
const KEPT = fileURLToPath(new URL('../../var/fuzz/', import.meta.url));

const { values } = readArguments({
  usage: 'npm run test:fuzz --',
  about: `Fuzzes every reader of foreign bytes. Ends with 1 where an input crashes or hangs a reader, takes much memory, or
gives an error that is not in the table. Such an input is kept in var/fuzz.`,
  options: {
    seed: { type: 'string', value: 'N', help: 'the same mutants again; printed at the start' },
    target: { type: 'string', value: 'NAME', choices: Object.keys(targets), help: 'one reader only' },
    first: { type: 'string', default: '0', value: 'N', help: 'first input' },
    count: { type: 'string', value: 'N', help: 'how many inputs of each reader' },
    scale: { type: 'string', default: '1', value: 'N', help: 'how many times as many inputs as usual' },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const first = Number(values.first);
console.log(`Seed ${seed}.`);

let [inputs, failed] = [0, 0];
for (const [name, make] of Object.entries(targets).filter(([name]) => name === (values.target ?? name))) {
  const { seeds, count } = await make();
  const end = first + Number(values.count ?? Math.ceil(count * Number(values.scale)));
  const start = performance.now();
  const assignment = {
    module: new URL('./targets.ts', import.meta.url).href,
    target: name,
    seed,
    first,
    end,
  };
  const outcome = await supervise(assignment, HANG_SECONDS);
  inputs += outcome.inputs;
  failed += outcome.failures.length;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${name}: ${outcome.inputs} inputs, ${seconds} s, at most ${outcome.peakMb} MB, ${outcome.failures.length} failures`,
  );
  console.log(
    `  refused: ${Object.entries(outcome.refused)
      .map(([code, times]) => `${code} ${times}`)
      .join(', ')}`,
  );
  for (const { index, what } of outcome.failures) {
    const file = join(KEPT, `${name}-${seed}-${index}.bin`);
    await mkdir(KEPT, { recursive: true });
    await writeFile(file, mutant(seeds, seed, index));
    console.log(
      `  ${file}\n  again: npm run test:fuzz -- --seed ${seed} --target ${name} --first ${index} --count 1\n  ${what}`,
    );
  }
}
console.log(`${inputs} inputs, ${failed} failures.`);
process.exit(failed === 0 ? 0 : 1);
