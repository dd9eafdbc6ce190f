import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createTemporarySpool,
  openJobSpool,
  removeIdleJobSpool,
  removeJobSpool,
  requireCapacity,
  retainJobSpool,
  type Spool,
  spoolUse,
  sweepSpools,
} from '../../server/src/spool/spool.ts';

const [OLD, MIDDLE, YOUNG] = [1, 2, 3].map((n) => ({
  seriesUuid: `0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f1${n}`,
  createdAt: `2026-01-0${n}T00:00:00.000Z`,
})) as [Identity, Identity, Identity];
type Identity = { seriesUuid: string; createdAt: string };
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stain-spool-'));
});
afterEach(() => rm(directory, { recursive: true }));

const likely = (bytes: number) => ({ minimum: 0, likely: bytes });
const full = expect.objectContaining({ code: 'SPOOL_FULL' });
const folders = async () => (await readdir(directory)).filter((name) => !name.startsWith('ledger'));
const folderOf = ({ seriesUuid }: Identity) => `job-${seriesUuid}`;

async function write(spool: Spool, bytes: number): Promise<void> {
  await spool.take(bytes);
  await writeFile(spool.newFile('frames'), new Uint8Array(bytes));
}

/** A job that has written this many bytes, and was requeued or failed. */
async function left(
  identity: Identity,
  bytes: number,
  state: 'waiting' | 'resting' | 'failed',
  quotaBytes = 1000,
): Promise<void> {
  const spool = await openJobSpool({ directory, quotaBytes }, identity);
  await write(spool, bytes);
  await spool.putDown(state === 'waiting' ? 'waiting' : 'resting');
  if (state === 'failed') await retainJobSpool({ directory }, identity.seriesUuid);
}

it('gives every attempt at a job the same folder, until it is removed', async () => {
  const first = await openJobSpool({ directory }, OLD);
  await writeFile(first.newFile('frames'), 'abc');
  await first.putDown('resting');
  const second = await openJobSpool({ directory }, OLD);
  expect(await readdir(second.directory)).toHaveLength(1);
  expect(second.newFile('frames')).not.toBe(first.newFile('frames'));
  await second.putDown('resting');
  await removeJobSpool({ directory }, OLD.seriesUuid);
  expect(await readdir(directory)).toEqual([]);
});

describe('an attempt at a job that only takes what is idle', () => {
  const onlyIdle = { onlyIdle: true };
  const inProgress = { code: 'SERIES_IN_PROGRESS' };

  it('leaves a running attempt its folder, and gets it afterwards', async () => {
    const running = await openJobSpool({ directory }, OLD);
    await expect(openJobSpool({ directory }, OLD, onlyIdle)).rejects.toMatchObject(inProgress);
    await removeIdleJobSpool({ directory }, OLD.seriesUuid);
    expect(await folders()).toEqual([folderOf(OLD)]);
    await running.putDown('resting');
    await openJobSpool({ directory }, OLD, onlyIdle);
  });

  it('takes the folder of an attempt on another host that has been silent for minutes', async () => {
    await openJobSpool({ directory }, OLD);
    const ledger = join(directory, 'ledger.json');
    const text = await readFile(ledger, 'utf8');
    await writeFile(ledger, text.replace(/("owner":")[0-9a-f]{8}/g, '$100000000'));
    await expect(openJobSpool({ directory }, OLD, onlyIdle)).rejects.toMatchObject(inProgress);
    const silent = new Date(Date.now() - 4 * MINUTE);
    await utimes(join(directory, folderOf(OLD)), silent, silent);
    await openJobSpool({ directory }, OLD, onlyIdle);
  });

  it('takes the folder of a process that was killed, and removes its own', async () => {
    await openJobSpool({ directory }, OLD);
    const ledger = join(directory, 'ledger.json');
    const text = await readFile(ledger, 'utf8');
    // Larger than any process number on Linux.
    await writeFile(ledger, text.replace(/("owner":"[0-9a-f]{8}-)\d+/g, '$14194305'));
    const own = await openJobSpool({ directory }, OLD, onlyIdle);
    await own.putDown('resting');
    await removeIdleJobSpool({ directory }, OLD.seriesUuid);
    expect(await folders()).toEqual([]);
  });
});

describe('a reservation', () => {
  it('is counted before a byte is written, for all processes', async () => {
    const options = { directory, quotaBytes: 1000 };
    await using first = await createTemporarySpool(options);
    await first.reserve(likely(600));
    await using second = await createTemporarySpool(options);
    await second.reserve(likely(400));
    await using third = await createTemporarySpool(options);
    await expect(third.reserve(likely(1))).rejects.toThrow(full);
    await expect(third.take(1)).rejects.toThrow(full);
    expect(await spoolUse(options)).toMatchObject({ used: 0, reserved: 1000, attainable: 1000 });
  });

  it('is extended if more is written than estimated, but never beyond the quota', async () => {
    const options = { directory, quotaBytes: 1000 };
    await using other = await createTemporarySpool(options);
    await other.reserve(likely(300));
    await using spool = await createTemporarySpool(options);
    await spool.reserve(likely(100));
    await write(spool, 700);
    await expect(spool.take(1)).rejects.toThrow(full);
    spool.give(200);
    await spool.take(200);
  });

  it('is released as far as it is unused when the attempt ends', async () => {
    const options = { directory, quotaBytes: 1000 };
    const spool = await openJobSpool(options, OLD);
    await spool.reserve(likely(900));
    await write(spool, 100);
    await spool.putDown('waiting');
    expect(await spoolUse(options)).toMatchObject({ used: 100, reserved: 0, attainable: 1000 });
  });

  it('starts at what the previous attempt was refused, or at the estimate if that is larger', async () => {
    const options = { directory, quotaBytes: 1000 };
    const busy = await openJobSpool(options, MIDDLE);
    await busy.reserve(likely(500));
    const first = await openJobSpool(options, OLD);
    await first.reserve(likely(100));
    await first.take(500);
    await expect(first.take(100)).rejects.toThrow(full);
    await first.putDown('waiting');
    const second = await openJobSpool(options, OLD);
    await expect(second.regain()).rejects.toThrow(full);
    await second.putDown('waiting');
    await busy.putDown('resting');
    await removeJobSpool(options, MIDDLE.seriesUuid);
    const third = await openJobSpool(options, OLD);
    await third.regain();
    await third.reserve(likely(100));
    expect(await spoolUse(options)).toMatchObject({ reserved: 600 });
  });

  it('of a larger spool is forgotten in a smaller one: an old estimate is no reason to refuse now', async () => {
    const larger = { directory, quotaBytes: 1000 };
    const smaller = { directory, quotaBytes: 300 };
    const other = await openJobSpool(larger, OLD);
    await other.reserve(likely(500));
    const first = await openJobSpool(larger, YOUNG);
    await expect(first.reserve(likely(900))).rejects.toEqual(full);
    await first.putDown('waiting');
    await other.putDown('waiting');
    await removeJobSpool(larger, OLD.seriesUuid);
    const second = await openJobSpool(smaller, YOUNG);
    await second.regain();
    await second.reserve(likely(900));
    await write(second, 300);
    await expect(second.take(1)).rejects.toMatchObject({ code: 'SPOOL_TOO_SMALL' });
    await second.putDown('waiting');
  });

  it('is reduced by a better estimate', async () => {
    const options = { directory, quotaBytes: 1000 };
    await using spool = await createTemporarySpool(options);
    await spool.reserve(likely(900));
    await spool.reserve(likely(100));
    await using other = await createTemporarySpool(options);
    await other.reserve(likely(900));
  });

  it('of a killed process of this host is released when another job needs it', async () => {
    const options = { directory, quotaBytes: 1000 };
    const dead = await openJobSpool(options, OLD);
    await dead.reserve(likely(900));
    await write(dead, 100);
    const ledger = join(directory, 'ledger.json');
    const text = await readFile(ledger, 'utf8');
    // Larger than any process number on Linux.
    await writeFile(ledger, text.replace(/("owner":"[0-9a-f]{8}-)\d+/g, '$14194305'));
    await using spool = await createTemporarySpool(options);
    await spool.reserve(likely(900));
    expect(await spoolUse(options)).toMatchObject({ used: 100, reserved: 900 });
  });

  it('survives the loss of the ledger as far as it is used', async () => {
    const options = { directory, quotaBytes: 1000 };
    const spool = await openJobSpool(options, OLD);
    await write(spool, 600);
    await writeFile(join(directory, 'ledger.json'), '[{"name":"damaged"');
    await using other = await createTemporarySpool(options);
    await expect(other.reserve(likely(401))).rejects.toThrow(full);
    await other.reserve(likely(200));
    // The job that was working when it was lost continues.
    await write(spool, 200);
    await expect(spool.take(1)).rejects.toThrow(full);
  });

  it('that cannot be written grants nothing', async () => {
    const options = { directory, quotaBytes: 200e6 };
    await using spool = await createTemporarySpool(options);
    // Stands for a full disk.
    await mkdir(join(directory, 'ledger.json.new'));
    await expect(spool.take(50e6)).rejects.toThrow();
    await expect(spool.take(40e6)).rejects.toThrow();
    await rm(join(directory, 'ledger.json.new'), { recursive: true });
    await using other = await createTemporarySpool(options);
    await other.take(190e6);
    await expect(spool.take(40e6)).rejects.toThrow(full);
  });

  it('is not changed by an attempt that was overtaken', async () => {
    const options = { directory, quotaBytes: 1000 };
    const frozen = await openJobSpool(options, OLD);
    const successor = await openJobSpool(options, OLD);
    await successor.reserve(likely(500));
    await expect(frozen.take(900)).rejects.toMatchObject({ code: 'CANCELLED' });
    await frozen.putDown('resting');
    expect(await spoolUse(options)).toMatchObject({ reserved: 500 });
  });
});

describe('if there is too little room', () => {
  const options = () => ({ directory, quotaBytes: 1000 });

  it('a failed job yields to all others, first of all', async () => {
    await left(OLD, 300, 'failed');
    await left(YOUNG, 300, 'waiting');
    const spool = await openJobSpool(options(), MIDDLE);
    await spool.reserve(likely(700));
    expect(new Set(await folders())).toEqual(new Set([folderOf(MIDDLE), folderOf(YOUNG)]));
  });

  it('a job that waits for its archive yields before one that waits for room', async () => {
    await left(OLD, 300, 'resting');
    await left(YOUNG, 300, 'waiting');
    const spool = await openJobSpool(options(), MIDDLE);
    await spool.reserve(likely(600));
    expect(new Set(await folders())).toEqual(new Set([folderOf(MIDDLE), folderOf(YOUNG)]));
  });

  it('a younger waiting job yields to an older one', async () => {
    await left(YOUNG, 600, 'waiting');
    const spool = await openJobSpool(options(), OLD);
    await spool.reserve(likely(600));
    expect(await folders()).toEqual([folderOf(OLD)]);
  });

  it('an older waiting job yields to no younger one, until it has been silent for a while', async () => {
    await left(OLD, 600, 'waiting');
    const spool = await openJobSpool(options(), YOUNG);
    await expect(spool.reserve(likely(600))).rejects.toThrow(full);
    const ledger = join(directory, 'ledger.json');
    const text = await readFile(ledger, 'utf8');
    await writeFile(
      ledger,
      text.replace(/"since":(\d+)/g, (_, ms) => `"since":${Number(ms) - 16 * MINUTE}`),
    );
    await spool.reserve(likely(600));
    expect(await folders()).toEqual([folderOf(YOUNG)]);
  });

  it('nobody loses anything if it would not be enough', async () => {
    await using preview = await createTemporarySpool(options());
    await preview.reserve(likely(500));
    await left(YOUNG, 300, 'waiting');
    const spool = await openJobSpool(options(), OLD);
    await expect(spool.reserve(likely(600))).rejects.toThrow(full);
    expect(await folders()).toContain(folderOf(YOUNG));
  });

  it('the room that the oldest job waits for is kept for it', async () => {
    const running = await openJobSpool(options(), MIDDLE);
    await running.reserve(likely(700));
    const oldest = await openJobSpool(options(), OLD);
    await expect(oldest.reserve(likely(800))).rejects.toThrow(full);
    await oldest.putDown('waiting');
    const youngest = await openJobSpool(options(), YOUNG);
    await expect(youngest.reserve(likely(300))).rejects.toThrow(full);
    await youngest.putDown('waiting');
    // A preview is small and short.
    await using preview = await createTemporarySpool(options());
    await preview.reserve(likely(100));
    await running.putDown('resting');
    await removeJobSpool(options(), MIDDLE.seriesUuid);
    await expect((await openJobSpool(options(), YOUNG)).reserve(likely(300))).rejects.toThrow(full);
    await (await openJobSpool(options(), OLD)).reserve(likely(800));
  });
});

describe('a slide that can never fit', () => {
  it('is reported with the numbers', async () => {
    const options = { directory, quotaBytes: 1000 };
    const tooSmall = { code: 'SPOOL_TOO_SMALL', data: { needed: 1001, quota: 1000 } };
    await expect(requireCapacity(options, 1001)).rejects.toMatchObject(tooSmall);
    await requireCapacity(options, 1000);
    await using spool = await createTemporarySpool(options);
    await expect(spool.reserve({ minimum: 1001, likely: 2000 })).rejects.toMatchObject(tooSmall);
    // The estimate may be too high: the real size shows when the job has the spool to itself.
    await spool.reserve({ minimum: 10, likely: 2000 });
    await write(spool, 1000);
    await expect(spool.take(1)).rejects.toMatchObject(tooSmall);
  });

  it('is one that is larger than the disk, if there is no quota', async () => {
    await using unlimited = await createTemporarySpool({ directory });
    await expect(unlimited.reserve({ minimum: 1e18, likely: 1e18 })).rejects.toMatchObject({
      code: 'SPOOL_TOO_SMALL',
    });
    await expect(unlimited.take(1e18)).rejects.toMatchObject({ code: 'SPOOL_TOO_SMALL' });
  });
});

it('is swept of unneeded files: of ended jobs, of old ones, and of dead processes', async () => {
  const options = { keepDays: 7, isOver: async (id: string) => id === OLD.seriesUuid };
  for (const identity of [OLD, MIDDLE, YOUNG]) await left(identity, 1, 'resting');
  const old = new Date(Date.now() - 8 * DAY);
  await utimes(join(directory, folderOf(YOUNG)), old, old);
  await using alive = await createTemporarySpool({ directory });
  const ours = /temporary-([0-9a-f]{8})-/.exec(alive.directory)![1];
  await mkdir(join(directory, `temporary-${ours}-4194305-dead`));
  // In a restarted container the new process has the number of the dead one.
  await mkdir(join(directory, `temporary-${ours}-${process.pid}-before`));
  // Of another host: its process numbers mean nothing here, but live processes touch their folders.
  await mkdir(join(directory, 'temporary-00000000-4194305-elsewhere'));
  await mkdir(join(directory, 'temporary-00000000-4194306-silent'));
  const hoursAgo = new Date(Date.now() - 120 * MINUTE);
  await utimes(join(directory, 'temporary-00000000-4194306-silent'), hoursAgo, hoursAgo);
  await mkdir(join(directory, 'lost+found'));
  await sweepSpools({ directory }, options);
  expect(new Set(await folders())).toEqual(
    new Set([
      folderOf(MIDDLE),
      basename(alive.directory),
      'temporary-00000000-4194305-elsewhere',
      'lost+found',
    ]),
  );
});
