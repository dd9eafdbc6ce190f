/** How the time of a job grows: with the tissue, and hardly with the slide. Least squares over all runs. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSlide, type Place, runPipeline } from './bench-run.ts';

const TISSUE_PARTS = [0.05, 0.25, 0.5, 1];
/** Sizes in megapixels, with this fraction of tissue. */
const SIZES = { megapixels: [50, 200, 800], tissue: 0.05 };

interface Measured {
  readonly megapixels: number;
  readonly tissue: number;
  readonly seconds: number;
}

export async function measureScaling(place: Place, megapixels: number, model: string): Promise<void> {
  console.log(`\n### Time against tissue and size, \`${model}\`\n`);
  console.log('| slide, Mpx | tissue, Mpx | seconds | Mpx/s of slide | event loop delay, ms: p99, max |');
  console.log('|---|---|---|---|---|');
  const runs: Measured[] = [];
  const cases = [
    ...TISSUE_PARTS.map((part) => ({ megapixels, part })),
    ...SIZES.megapixels.map((size) => ({ megapixels: size, part: SIZES.tissue })),
  ].filter(
    (one, i, all) =>
      all.findIndex((other) => other.megapixels === one.megapixels && other.part === one.part) === i,
  );
  for (const { megapixels: size, part } of cases) {
    const side = Math.round(Math.sqrt(size * 1e6));
    const slide = await makeSlide(place, `scaling-${size}-${part}`, { columns: side, rows: side }, part);
    const { result, delay } = await runPipeline(place, slide, join(place.folder, 'scaling-result'), model);
    await rm(slide, { recursive: true });
    await rm(join(place.folder, 'scaling-result'), { recursive: true });
    const { seconds } = result;
    runs.push({ megapixels: size, tissue: size * part, seconds });
    console.log(
      `| ${size} | ${(size * part).toFixed(1)} | ${seconds.toFixed(1)} | ${(size / seconds).toFixed(1)} | ${delay.p99.toFixed(0)}, ${delay.max.toFixed(0)} |`,
    );
  }
  const [start, perTissue, perGlass] = leastSquares(runs);
  console.log(
    `\nSeconds = ${start.toFixed(1)} + ${(1000 * perTissue).toFixed(0)} ms x Mpx of tissue + ${(1000 * perGlass).toFixed(1)} ms x Mpx of glass ` +
      `(largest residual ${Math.max(...runs.map((run) => Math.abs(run.seconds - start - perTissue * run.tissue - perGlass * (run.megapixels - run.tissue)))).toFixed(1)} s).`,
  );
}

/** Start-up time, and seconds per megapixel of tissue and of glass: the normal equations, solved by Cramer's rule. */
function leastSquares(runs: readonly Measured[]): [number, number, number] {
  const rows = runs.map(({ megapixels, tissue, seconds }) => ({
    x: [1, tissue, megapixels - tissue],
    y: seconds,
  }));
  const matrix = [0, 1, 2].map((i) =>
    [0, 1, 2].map((j) => rows.reduce((sum, { x }) => sum + x[i]! * x[j]!, 0)),
  );
  const right = [0, 1, 2].map((i) => rows.reduce((sum, { x, y }) => sum + x[i]! * y, 0));
  const determinant = (rows: number[][]): number => {
    const at = (row: number, column: number): number => rows[row]![column]!;
    const minor = (one: number, two: number): number => at(1, one) * at(2, two) - at(1, two) * at(2, one);
    return at(0, 0) * minor(1, 2) - at(0, 1) * minor(0, 2) + at(0, 2) * minor(0, 1);
  };
  const whole = determinant(matrix);
  const solution = [0, 1, 2].map(
    (column) =>
      determinant(matrix.map((row, i) => row.map((value, j) => (j === column ? right[i]! : value)))) / whole,
  );
  return solution as [number, number, number];
}
