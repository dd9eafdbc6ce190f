/**
 * `node scripts/bench-sparse.ts`: the memory that the normalised archive needs for a slide of one level whose frames all
 * state their positions (TILED_SPARSE), each of 64 x 64. Measures the whole process, including the embedded archive.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { encodeFrame } from '../server/src/codec/encode-frame.ts';
import { type DicomJson, textOf } from '../server/src/dicom/json-model.ts';
import { makeSlideInstance } from '../test/support/make-slide.ts';
import { tilesOf } from '../test/support/tiles.ts';
import { tissue } from '../test/support/tissue.ts';
import { readArguments } from './arguments.ts';
import { createPlace, TEMPLATE } from './bench-run.ts';
import { startService } from './bench-service.ts';

/** A busy machine takes a while to prove the model. */
const READY_MS = 300_000;
const [SIDE, ACROSS, TILES] = [64, 550, 16];

const { values } = readArguments({
  usage: 'node scripts/bench-sparse.ts',
  about: `Measures the memory that the normalised archive needs for a slide whose frames all state their positions.
Exits with 1 if it exceeds the limit.`,
  options: {
    frames: { type: 'string', default: '300000', value: 'N', help: 'frames of the slide' },
    limit: { type: 'string', value: 'N', help: 'limit in megabytes; none if left out' },
  },
});
const frameCount = Number(values.frames);
const limit = Number(values.limit ?? Number.POSITIVE_INFINITY);

async function makeSparseSlide(): Promise<Uint8Array> {
  const pixels = tissue(SIDE * TILES, SIDE * TILES, { part: 1 });
  const format = { rows: SIDE, columns: SIDE, encoding: 'jpeg', quality: 90 } as const;
  const tiles = await Promise.all(tilesOf(pixels, SIDE).map((rgb) => encodeFrame(rgb, format)));
  return makeSlideInstance({
    rows: SIDE,
    columns: SIDE,
    totalColumns: ACROSS * SIDE,
    totalRows: Math.ceil(frameCount / ACROSS) * SIDE,
    frames: Array.from(
      { length: frameCount },
      (_, i) => tiles[(i % TILES) + TILES * (Math.floor(i / ACROSS) % TILES)]!,
    ),
    tiling: 'TILED_SPARSE',
  });
}

await using place = await createPlace();
const archive = join(place.folder, 'archive');
await mkdir(archive);
await writeFile(join(archive, 'slide.dcm'), await makeSparseSlide());
const service = await startService(place, { STAIN_ARCHIVE_FOLDER: archive });
try {
  const studies = `${service.url}/normalized/${TEMPLATE}/dicom-web/studies`;
  const answered = async (url: string): Promise<Response> => {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  };
  const whenReady = async (): Promise<void> => {
    for (const end = performance.now() + READY_MS; ; await pause(1000)) {
      const answer = await fetch(`${service.url}/ready`);
      if (answer.ok) return;
      if (performance.now() > end) throw new Error(await answer.text());
    }
  };
  const first = async (url: string, tag: string): Promise<string> =>
    textOf(((await (await answered(url)).json()) as DicomJson[])[0]!, tag)!;
  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work();
    const seconds = (performance.now() - start) / 1000;
    const metrics = await (await answered(`${service.url}/metrics`)).text();
    const memory = Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)![1]) / 1e6;
    console.log(`| ${what} | ${seconds.toFixed(1)} | ${memory.toFixed(0)} |`);
    if (memory > limit) process.exitCode = 1;
    return result;
  };
  console.log('| | s | memory, MB |\n|---|---|---|');
  await timed('ready', whenReady);
  const study = await first(studies, '0020000D');
  const series = await timed('listed', () => first(`${studies}/${study}/series`, '0020000E'));
  for (const what of ['metadata', 'metadata again'])
    await timed(what, async () => {
      const { body } = await answered(`${studies}/${study}/series/${series}/metadata`);
      for await (const _chunk of body!);
    });
} finally {
  await service.stop();
}
