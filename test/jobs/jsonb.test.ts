/** What PostgreSQL cannot keep in text. */
import { expect, it } from 'vitest';
import { openDatabase } from '../../server/src/jobs/database.ts';
import { toJsonb } from '../../server/src/jobs/jsonb.ts';

it('values with NUL and lone surrogates can be written', async () => {
  const database = await openDatabase({ directory: 'memory://', heartbeatSeconds: 30, onError: () => {} });
  try {
    const value = { station: 'SCAN\0 1', nested: ['\ud800 a', 'é'], number: 1, none: null };
    const [row] = await database.query('SELECT $1::jsonb AS value', [toJsonb(value)]);
    expect(row).toEqual({ value: { station: 'SCAN 1', nested: ['\ufffd a', 'é'], number: 1, none: null } });
  } finally {
    await database.close();
  }
});
