import { setTimeout } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { ColourTable } from '../../core/src/codec/colour-table.ts';
import { applyTables, linearTables } from '../../core/src/stain/linear-tables.ts';
import { CodecPool } from '../../server/src/codec/codec-pool.ts';
import { colourMap } from '../../server/src/codec/colour-map.ts';
import { countGlass } from '../../server/src/slide/glass-map.ts';
import { peakDuring } from '../support/peak.ts';
import { frameFormat, testFrame } from './frames.ts';

const HTJ2K = '1.2.840.10008.1.2.4.201';
const NATIVE = '1.2.840.10008.1.2.1';
const options = { columns: 64, rows: 48, encoding: 'htj2k', quality: 90 } as const;
const pool = new CodecPool({ threads: 2 });
const { signal } = new AbortController();
const TABLES = linearTables(
  {
    matrix: [
      [1.2, 0.1, 0],
      [0, 0.8, 0.1],
      [0.1, 0, 1.1],
    ],
    intercept: [0.01, 0, 0],
    notes: [],
  },
  0.02,
  0,
);
/** Inverts every colour. */
function colourTable(): ColourTable {
  const nodes = new Uint8Array(new SharedArrayBuffer(52 ** 3 * 3));
  for (let node = 0; node < 52 ** 3; node++)
    for (const [c, step] of [52 ** 2, 52, 1].entries())
      nodes[node * 3 + c] = 255 - 5 * (Math.floor(node / step) % 52);
  return nodes;
}

afterAll(() => pool.close());

describe('codec pool', () => {
  it('encodes and decodes many frames at once', async () => {
    const frames = Array.from({ length: 24 }, (_, i) => testFrame(64, 48, i + 1));
    const encoded = await Promise.all(frames.map((rgb) => pool.encode(rgb.slice(), options, signal)));
    const format = frameFormat(HTJ2K, 64, 48);
    const decoded = await Promise.all(
      encoded.map((bytes) => pool.decode(bytes, format, { table: undefined, signal })),
    );
    expect(decoded).toEqual(frames);
  });

  it('transfers the given buffer, but no neighbour in it', async () => {
    const own = testFrame(64, 48);
    await pool.encode(own, options, signal);
    expect(own.length).toBe(0);
    const shared = new Uint8Array(2 * 64 * 48 * 3).fill(7);
    await pool.encode(shared.subarray(0, 64 * 48 * 3), options, signal);
    const pooled = Buffer.from(shared.buffer, 0, 64 * 48 * 3);
    await Promise.all([pool.encode(pooled, options, signal), pool.encode(pooled, options, signal)]);
    expect(shared.every((value) => value === 7)).toBe(true);
  });

  it('decodes no more pixels at once than fit into memory, however many threads it has', async () => {
    const own = new CodecPool({ threads: 4, worker: new URL('./broken-worker.ts', import.meta.url) });
    const format = frameFormat(NATIVE, 9000, 9000);
    const { peak } = await peakDuring(
      () => own.pixels,
      () =>
        Promise.all(
          Array.from({ length: 12 }, () =>
            own.decode(new Uint8Array(8), format, { table: undefined, signal }),
          ),
        ),
    );
    expect(peak).toBe(2 * 81e6);
    expect(own.pixels).toBe(0);
    await own.close();
  });

  it('returns every result in a buffer of its own size', async () => {
    const jpeg = await pool.encode(testFrame(64, 48), { ...options, encoding: 'jpeg' }, signal);
    expect(jpeg.buffer.byteLength).toBe(jpeg.byteLength);
    const rgb = await pool.decode(jpeg, frameFormat('1.2.840.10008.1.2.4.50', 64, 48), {
      table: undefined,
      signal,
    });
    expect(rgb.buffer.byteLength).toBe(64 * 48 * 3);
  });

  it('applies a colour table', async () => {
    const white = new Uint8Array(new SharedArrayBuffer(52 ** 3 * 3)).fill(255) as ColourTable;
    const decoded = await pool.decode(testFrame(8, 8), frameFormat(NATIVE, 8, 8), { table: white, signal });
    expect(decoded).toEqual(new Uint8Array(8 * 8 * 3).fill(255));
  });

  it('maps a frame in one step to the same as decoding, tables and encoding', async () => {
    const output = { columns: 64, rows: 48, encoding: 'htj2k', quality: 90 } as const;
    const format = frameFormat(NATIVE, 64, 48);
    const table = colourTable();
    const rgb = await pool.decode(testFrame(64, 48), format, { table, signal });
    applyTables(TABLES, rgb);
    const colours = colourMap(table, TABLES);
    const [mapped] = await pool.map(
      [{ bytes: testFrame(64, 48), extent: { x: 0, y: 0, width: 64, height: 48 } }],
      format,
      { colours, output, signal },
    );
    const after = await pool.decode(mapped!, frameFormat(HTJ2K, 64, 48), { table: undefined, signal });
    expect(after).toEqual(rgb);
    expect(after).not.toEqual(testFrame(64, 48));
  });

  it('counts the glass of frames as on their pixels, after the colour table', async () => {
    const format = frameFormat(NATIVE, 64, 48);
    const search = { cell: 8, density: 0.9 };
    const extents = [
      { x: 64, y: 48, width: 64, height: 48 },
      { x: 3, y: 48, width: 30, height: 41 },
    ];
    const frames = () => extents.map((extent) => ({ bytes: testFrame(64, 48), extent }));
    for (const table of [undefined, colourTable()]) {
      const rgb = await pool.decode(testFrame(64, 48), format, { table, signal });
      const expected = extents.map((extent) => countGlass({ width: 64, height: 48, rgb }, extent, search));
      expect(await pool.countGlass(frames(), format, search, { table, signal })).toEqual(expected);
      expect(Math.max(...expected[0]!)).toBeGreaterThan(0);
    }
    const [sound, other] = frames();
    const damaged = pool.countGlass([sound!, { ...other!, bytes: Uint8Array.of(1) }], format, search, {
      signal,
    });
    await expect(damaged).rejects.toMatchObject({ data: { inBatch: 1 } });
  });

  it('counts the pixels of a caller who has left until its thread is done with them', async () => {
    const own = new CodecPool({ threads: 4, worker: new URL('./broken-worker.ts', import.meta.url) });
    const leave = new AbortController();
    const hanging = own.decode(Uint8Array.of(1), frameFormat(NATIVE, 9000, 9000), { signal: leave.signal });
    await expect.poll(() => own.pixels).toBe(81e6);
    leave.abort(new Error('left'));
    await expect(hanging).rejects.toThrow('left');
    // The thread goes on for a while.
    expect(own.pixels).toBe(81e6);
    await expect.poll(() => own.pixels).toBe(0);
    await own.close();
  });

  it('fails, and lives on, if no thread can start', async () => {
    const own = new CodecPool({ threads: 2, worker: new URL('./no-such-worker.ts', import.meta.url) });
    const frame = own.decode(testFrame(64, 48), frameFormat(NATIVE, 64, 48), { signal });
    await expect(frame).rejects.toMatchObject({ code: 'INTERNAL', message: 'A codec thread cannot start.' });
    await own.close();
  });

  it('passes on errors with their code and data', async () => {
    const decoded = pool.decode(
      await pool.encode(testFrame(64, 48), options, signal),
      frameFormat(HTJ2K, 48, 64),
      { table: undefined, signal },
    );
    await expect(decoded).rejects.toMatchObject({
      name: 'StainError',
      code: 'FRAME_SIZE_MISMATCH',
      data: { codestream: [64, 48] },
    });
  });

  it('drops waiting and running tasks when aborted, with the reason, and continues afterwards', async () => {
    const controller = new AbortController();
    const reason = new DOMException('too late', 'TimeoutError');
    const big = { columns: 1024, rows: 1024, encoding: 'jpeg2000', quality: 90 } as const;
    const tasks = Array.from({ length: 20 }, () =>
      pool.encode(testFrame(1024, 1024), big, controller.signal),
    );
    void Promise.race(tasks).then(() => controller.abort(reason));
    const results = await Promise.allSettled(tasks);
    expect(results.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(10);
    for (const result of results) if (result.status === 'rejected') expect(result.reason).toBe(reason);
    await expect(pool.encode(testFrame(64, 48), options, controller.signal)).rejects.toBe(reason);
    expect((await pool.encode(testFrame(64, 48), options, signal)).length).toBeGreaterThan(0);
  });
});

describe('native libraries', () => {
  it('survive a pool that is closed while its threads start', async () => {
    // Otherwise the process would end with this test.
    for (let round = 0; round < 30; round++) {
      const own = new CodecPool({ threads: 2 });
      const frames = [1, 2].map(() => own.decode(testFrame(64, 48), frameFormat(NATIVE, 64, 48), { signal }));
      // At any moment of the start.
      await setTimeout(round * 5);
      await Promise.allSettled([own.close(), ...frames]);
    }
  });

  it('survive a caller that leaves while their thread starts', async () => {
    for (let round = 0; round < 10; round++) {
      const own = new CodecPool({ threads: 1 });
      const end = new AbortController();
      const frame = own.decode(new Uint8Array(64 * 48 * 3), frameFormat(NATIVE, 64, 48), {
        signal: end.signal,
      });
      await setTimeout(round * 5);
      end.abort(new Error('left'));
      await Promise.allSettled([frame, own.close()]);
    }
  });
});

describe('the native encoder', () => {
  const size = { columns: 1024, rows: 1024, encoding: 'jpeg', quality: 90 } as const;
  const format = frameFormat(NATIVE, 1024, 1024);
  const large = () => ({ bytes: new Uint8Array(3 << 20), extent: { x: 0, y: 0, width: 1024, height: 1024 } });
  it.each<[string, (own: CodecPool, signal: AbortSignal) => Promise<unknown>]>([
    ['encoded', (own, end) => own.encode(new Uint8Array(3 << 20), size, end)],
    [
      'mapped',
      (own, end) =>
        own.map([large(), large()], format, {
          colours: colourMap(undefined, TABLES),
          output: size,
          signal: end,
        }),
    ],
  ])('survives cancellations while frames are %s', async (_, work) => {
    // Otherwise the process would end with this test.
    const own = new CodecPool({ threads: 2 });
    for (let round = 0; round < 40; round++) {
      const controller = new AbortController();
      const frames = Array.from({ length: 6 }, () => work(own, controller.signal));
      // At any moment of the work.
      void setTimeout((round % 8) * 15).then(() => controller.abort(new Error('enough')));
      await Promise.allSettled(frames);
    }
    const last = work(own, signal);
    await Promise.all([own.close(), last.catch(() => {})]);
  });
});

describe('frames that are mapped', () => {
  const SIDE = 1500;
  const frame = () => ({
    bytes: new Uint8Array(3 * SIDE ** 2),
    extent: { x: 0, y: 0, width: SIDE, height: SIDE },
  });
  const map = (own: CodecPool, count: number) =>
    own.map(Array.from({ length: count }, frame), frameFormat(NATIVE, SIDE, SIDE), {
      colours: colourMap(undefined, TABLES),
      output: { columns: SIDE, rows: SIDE, encoding: 'jpeg2000', quality: 90 },
      signal,
    });

  it('too slowly fail their batch with a message', async () => {
    const own = new CodecPool({ threads: 1, timeLimitMs: 1 });
    await expect(map(own, 3)).rejects.toMatchObject({
      code: 'FRAME_INVALID',
      message: expect.stringContaining('kept its codec busy'),
    });
    await own.close();
  });

  it('too slowly are not blamed on the frame that would have been next', async () => {
    const own = new CodecPool({ threads: 1 });
    const begun = performance.now();
    await map(own, 1);
    await own.close();
    // Two of the frames, so that the limit passes while one is encoded.
    const late = new CodecPool({ threads: 1, timeLimitMs: (performance.now() - begun) * 1.5 });
    await expect(map(late, 8)).rejects.toMatchObject({ data: expect.not.objectContaining({ inBatch: 1 }) });
    await late.close();
  });

  it('while the pool is closed fail like all others', async () => {
    const own = new CodecPool({ threads: 1 });
    await map(own, 1);
    const under = expect(map(own, 8)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    await own.close();
    await under;
  });

  it('repeat their edge beyond the slide', async () => {
    const bytes = testFrame(64, 48);
    const [mapped] = await pool.map(
      [{ bytes, extent: { x: 0, y: 0, width: 40, height: 48 } }],
      frameFormat(NATIVE, 64, 48),
      {
        colours: colourMap(undefined, TABLES),
        output: options,
        signal,
      },
    );
    const rgb = await pool.decode(mapped!, frameFormat(HTJ2K, 64, 48), { table: undefined, signal });
    for (let x = 40; x < 64; x++)
      expect(rgb.subarray(x * 3, x * 3 + 3)).toEqual(rgb.subarray(39 * 3, 40 * 3));
  });
});

describe('a codec that crashes', () => {
  const worker = new URL('./broken-worker.ts', import.meta.url);
  const broken = (threads: number, timeLimitMs?: number): CodecPool =>
    new CodecPool({ threads, worker, ...(timeLimitMs && { timeLimitMs }) });
  const ask = (pool: CodecPool, first: number, own = signal): Promise<Uint8Array> =>
    pool.decode(Uint8Array.of(first, 9), frameFormat(NATIVE, 1, 1), { table: undefined, signal: own });
  const [SOUND, HANGS, EXITS, THROWS] = [0, 1, 2, 3];

  it.each([
    ['hangs', HANGS, 'A frame kept its codec busy for more than 2 s.'],
    ['ends its thread', EXITS, 'A frame crashed its codec.'],
    ['throws outside of its task', THROWS, 'A frame crashed its codec.'],
  ])('that %s fails only its own frame, and those behind it are decoded', async (_what, fault, message) => {
    const pool = broken(1, 2000);
    try {
      const results = await Promise.allSettled([fault, SOUND, fault, SOUND].map((first) => ask(pool, first)));
      const failed = {
        status: 'rejected',
        reason: expect.objectContaining({ code: 'FRAME_INVALID', message }),
      };
      const decoded = { status: 'fulfilled', value: Uint8Array.of(SOUND, 9) };
      expect(results).toEqual([failed, decoded, failed, decoded]);
    } finally {
      await pool.close();
    }
  });

  it('does not delay others', async () => {
    const pool = broken(2);
    const controller = new AbortController();
    const hanging = ask(pool, HANGS, controller.signal);
    try {
      const others = await Promise.all(Array.from({ length: 10 }, () => ask(pool, SOUND)));
      expect(others).toHaveLength(10);
    } finally {
      controller.abort(new Error('enough'));
      await expect(hanging).rejects.toThrow('enough');
      await pool.close();
    }
  });

  it('does not delay the cancellation of tasks behind it', async () => {
    const pool = broken(1);
    const controller = new AbortController();
    const hanging = ask(pool, HANGS);
    const waiting = ask(pool, SOUND, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    const ended = Promise.allSettled([hanging, ask(pool, SOUND)]);
    await pool.close();
    const shutDown = { status: 'rejected', reason: expect.objectContaining({ code: 'SHUTTING_DOWN' }) };
    expect(await ended).toEqual([shutDown, shutDown]);
    await expect(ask(pool, SOUND)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
  });
});
