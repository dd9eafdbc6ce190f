import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Database, openDatabase } from '../../server/src/jobs/database.ts';
import { serviceKey } from '../../server/src/jobs/service-key.ts';

function open(directory: string): Promise<Database> {
  return openDatabase({ directory, heartbeatSeconds: 30, onError: () => {} });
}

it('a key is the same in every call and after a restart, and differs by purpose and database', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'service-key-'));
  try {
    const first = await open(join(folder, 'one'));
    const [key, same, other] = await Promise.all([
      serviceKey(first, 'bulk data'),
      serviceKey(first, 'bulk data'),
      serviceKey(first, 'cursors'),
    ]);
    await first.close();
    expect(key).toHaveLength(32);
    expect(same).toEqual(key);
    expect(other).not.toEqual(key);

    const again = await open(join(folder, 'one'));
    expect(await serviceKey(again, 'bulk data')).toEqual(key);
    await again.close();

    const elsewhere = await open('memory://');
    expect(await serviceKey(elsewhere, 'bulk data')).not.toEqual(key);
    await elsewhere.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
