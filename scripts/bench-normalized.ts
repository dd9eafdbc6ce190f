/**
 * `npm run bench:normalized`: how soon a slide that nobody has requested appears in the normalised archive, and how
 * fast its frames arrive while several viewers pan. Uses a real service with its embedded archive, or one in front of a
 * running archive (STAIN_DICOMWEB_URL) that holds the slides which `--make FOLDER` writes to a folder.
 *
 *   npm run bench:normalized -- --slides 30:0.5,500:0.5 --viewers 4 --seconds 20
 *   npm run bench:normalized -- --slides 500:0.5 --speed 0
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type DicomJson, numberOf, textOf } from '../server/src/dicom/json-model.ts';
import { readArguments } from './arguments.ts';
import { createPlace, makeSlide, TEMPLATE } from './bench-run.ts';
import { at, startService } from './bench-service.ts';

const { values } = readArguments({
  usage: 'npm run bench:normalized --',
  about: `Measures the normalised archive: how soon an unseen slide appears, and how fast its frames arrive while
several viewers pan. Uses the archive at STAIN_DICOMWEB_URL, which must hold the slides, or its own.`,
  options: {
    slides: {
      type: 'string',
      default: '30:0.5,500:0.5',
      value: 'LIST',
      help: 'slides as MEGAPIXELS:TISSUE,...',
    },
    levels: { type: 'string', default: '4', value: 'N', help: 'levels of each, reduced by two each time' },
    viewers: { type: 'string', default: '4', value: 'N', help: 'viewers that pan at the same time' },
    seconds: { type: 'string', default: '20', value: 'N', help: 'duration of panning in seconds' },
    speed: {
      type: 'string',
      default: '6',
      value: 'N',
      help: 'columns of tiles by which each viewer moves per second; 0: as fast as they arrive',
    },
    make: { type: 'string', value: 'FOLDER', help: 'only make the slides, in this folder' },
  },
});
/** Tiles per column of the screen, and number of requests that a browser makes at once. */
const [DOWN, AT_ONCE] = [5, 6];
const FRAMES = 'multipart/related; type="image/jpeg"; transfer-syntax=*';

/** A slide in the normalised archive, and the time until it was available, in milliseconds. */
interface Opened {
  readonly listed: number;
  readonly metadata: number;
  readonly firstFrame: number;
  readonly base: DicomJson;
  /** @param number 1-based @returns milliseconds */
  frame(number: number): Promise<number>;
}

async function answered(url: string, accept = 'application/dicom+json'): Promise<Response> {
  const answer = await fetch(url, { headers: { Accept: accept } });
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

async function open(root: string, study: string): Promise<Opened> {
  const json = async (path: string): Promise<DicomJson[]> =>
    (await (await answered(`${root}/studies/${study}${path}`)).json()) as DicomJson[];
  const began = performance.now();
  const series = textOf((await json('/series'))[0]!, '0020000E');
  const listed = performance.now();
  const headers = await json(`/series/${series}/metadata`);
  const described = performance.now();
  const base = headers.reduce((a, b) => (numberOf(a, '00280008')! > numberOf(b, '00280008')! ? a : b));
  const instance = `${root}/studies/${study}/series/${series}/instances/${textOf(base, '00080018')}`;
  const frame = async (number: number): Promise<number> => {
    const start = performance.now();
    await (await answered(`${instance}/frames/${number}`, FRAMES)).arrayBuffer();
    return performance.now() - start;
  };
  await frame(1);
  const firstFrame = performance.now() - began;
  return { listed: listed - began, metadata: described - listed, firstFrame, base, frame };
}

/**
 * Viewers pan to the right, one column of tiles at a time, then continue in the next rows: every frame is a new one.
 */
async function pan({ base, frame }: Opened): Promise<{ latencies: number[]; seconds: number }> {
  const viewers = Number(values.viewers);
  const speed = Number(values.speed);
  const across = Math.ceil(numberOf(base, '00480006')! / numberOf(base, '00280011')!);
  const rows = Math.floor(numberOf(base, '00280008')! / across / viewers);
  const latencies: number[] = [];
  const start = performance.now();
  const viewer = async (_: unknown, number: number): Promise<void> => {
    const wanted: number[] = [];
    for (let top = 0; top < rows; top += DOWN)
      for (let x = 0; x < across; x++)
        for (let y = top; y < Math.min(top + DOWN, rows); y++)
          wanted.push((number * rows + y) * across + x + 1);
    const fetchSome = async (column: number[]): Promise<void> => {
      for (let next = column.shift(); next !== undefined; next = column.shift())
        latencies.push(await frame(next));
    };
    while (wanted.length > 0 && performance.now() - start < Number(values.seconds) * 1000) {
      const column = wanted.splice(0, speed > 0 ? DOWN : AT_ONCE * DOWN);
      const moved = pause(speed > 0 ? 1000 / speed : 0);
      await Promise.all([moved, ...Array.from({ length: AT_ONCE }, () => fetchSome(column))]);
    }
  };
  await Promise.all(Array.from({ length: viewers }, viewer));
  return { latencies: latencies.sort((a, b) => a - b), seconds: (performance.now() - start) / 1000 };
}

await using place = await createPlace();
const isOurs = process.env['STAIN_DICOMWEB_URL'] === undefined;
const seconds = (ms: number): string => (ms / 1000).toFixed(2);
if (!values.make) {
  console.log(
    '| slide, Mpx | tissue | the process | listed, s | metadata, s | first frame, s | frames/s | p50, ms | p95, ms | max, ms | memory, MB |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|---|---|');
}
for (const slide of values.slides.split(',')) {
  const [megapixels, tissue] = slide.split(':').map(Number);
  const side = Math.round(Math.sqrt(megapixels! * 1e6));
  // Two slides: the first one does what a process does only once.
  if (isOurs)
    for (const name of ['archive/first', 'archive/second'])
      await makeSlide(place, name, { columns: side, rows: side, levels: Number(values.levels) }, tissue!);
  const archive = join(place.folder, 'archive');
  if (values.make) {
    await rename(archive, values.make);
    break;
  }
  const service = await startService(place, {
    STAIN_LIMITS_REQUESTS_PER_SECOND_PER_ADDRESS: '100000',
    STAIN_LIMITS_REQUESTS_PER_SECOND: '5000',
    ...(isOurs && { STAIN_ARCHIVE_FOLDER: archive }),
  });
  try {
    const root = `${service.url}/normalized/${TEMPLATE}/dicom-web`;
    // The network is opened before the first request.
    await answered(`${service.url}/ready`, 'application/json');
    const studies = (await (await answered(`${root}/studies`)).json()) as DicomJson[];
    for (const [i, row] of studies.entries()) {
      const opened = await open(root, textOf(row, '0020000D')!);
      const times = [opened.listed, opened.metadata, opened.firstFrame].map(seconds);
      const { latencies, seconds: took } = await pan(opened);
      const ms = [at(latencies, 0.5), at(latencies, 0.95), latencies.at(-1)!].map((one) => one.toFixed(0));
      const rate = (latencies.length / took).toFixed(0);
      const metrics = await (await answered(`${service.url}/metrics`, 'text/plain')).text();
      const memory = Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)![1]) / 1e6;
      const cells = [megapixels, tissue, i === 0 ? 'new' : 'warm', ...times, rate, ...ms, memory.toFixed(0)];
      console.log(`| ${cells.join(' | ')} |`);
    }
  } finally {
    await service.stop();
    await rm(archive, { recursive: true, force: true });
    await rm(join(place.folder, 'database'), { recursive: true, force: true });
  }
}
