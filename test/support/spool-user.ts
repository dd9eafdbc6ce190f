/**
 * Uses a spool as a separate process, until it is killed: reserves room for jobs of unknown size, writes, requeues,
 * removes. Called with the folder, the quota and the ids of the jobs; prints a line for each job that is done.
 */
import { writeFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { toStainError } from '../../core/src/errors.ts';
import { openJobSpool, removeJobSpool } from '../../server/src/spool/spool.ts';

const [directory, quota, ...jobs] = process.argv.slice(2) as [string, string, ...string[]];
const options = { directory, quotaBytes: Number(quota) };
const CHUNK = 200_000;

async function attempt(seriesUuid: string, createdAt: string): Promise<boolean> {
  const spool = await openJobSpool(options, { seriesUuid, createdAt });
  try {
    const truth = Math.round(Math.random() * options.quotaBytes);
    await spool.reserve({ minimum: 0, likely: Math.random() * options.quotaBytes });
    for (let written = 0; written < truth; written += CHUNK) {
      await spool.take(CHUNK);
      await writeFile(spool.newFile('frames'), new Uint8Array(CHUNK));
    }
    await spool.putDown('resting');
    await removeJobSpool(options, seriesUuid);
    return true;
  } catch (error) {
    const { code } = toStainError(error);
    await spool.putDown(code === 'SPOOL_FULL' ? 'waiting' : 'resting');
    if (code !== 'SPOOL_FULL' && code !== 'SPOOL_TOO_SMALL') throw error;
    return false;
  }
}

for (const [i, job] of jobs.entries()) {
  const createdAt = new Date(Date.UTC(2026, 0, 1, 0, i)).toISOString();
  while (!(await attempt(job, createdAt))) await setTimeout(50);
  process.stdout.write(`${job}\n`);
}
