import { expect, it } from 'vitest';
import { mutant } from './mutate.ts';
import { type Outcome, supervise } from './supervise.ts';

const module = new URL('./broken-targets.ts', import.meta.url).href;
const run = (target: string): Promise<Outcome> => supervise({ module, target, seed: 1, first: 0, end: 8 }, 3);

it('finds nothing in a correct reader, and counts refusals', async () => {
  expect(await run('none')).toMatchObject({ inputs: 8, failures: [], refused: {} });
  expect(await run('refuses')).toMatchObject({ inputs: 8, failures: [], refused: { DICOM_INVALID: 1 } });
});

it.each([
  ['throws', /TypeError: A fault/],
  ['internal', /StainError: A fault/],
  ['hangs', /hung for 3 s/],
  ['crashes', /crashed \(SIGABRT\)/],
  ['grows', /took \d{3} MB of memory/],
])('finds an input that %s, and continues after it', async (target, what) => {
  const { inputs, failures } = await run(target);
  expect(failures).toEqual([expect.objectContaining({ index: 4, what: expect.stringMatching(what) })]);
  expect(inputs).toBe(8);
});

it('makes the same mutants for the same seed, and different ones otherwise', () => {
  const seeds = [{ bytes: Uint8Array.from({ length: 200 }, (_, i) => i), places: [3, 9] }];
  const all = Array.from({ length: 300 }, (_, index) => mutant(seeds, 7, index).toString('hex'));
  expect(Array.from({ length: 300 }, (_, index) => mutant(seeds, 7, index).toString('hex'))).toEqual(all);
  expect(new Set(all).size).toBeGreaterThan(250);
  expect(mutant(seeds, 8, 0)).not.toEqual(mutant(seeds, 7, 0));
});
