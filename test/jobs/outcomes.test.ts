/** Which outcomes an operator is to look at. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../server/src/jobs/database.ts';
import { OutcomeRecords } from '../../server/src/jobs/outcome-records.ts';

let database: Database;
let outcomes: OutcomeRecords;

beforeAll(async () => {
  database = await openDatabase({ directory: 'memory://', heartbeatSeconds: 30, onError: () => {} });
  outcomes = new OutcomeRecords(database);
});
afterAll(() => database.close());
beforeEach(() => database.query('DELETE FROM stain_normalization.job'));

/** A job of one slide that has ended. */
async function ended(number: number, state: string, destination?: string): Promise<void> {
  const request = {
    studyInstanceUid: '1.2',
    seriesInstanceUid: '1.2.3',
    template: 'one',
    ...(destination && { destination }),
  };
  const error = state === 'FAILED' ? { code: 'DICOM_INVALID', message: 'damaged' } : null;
  const id = `00000000-0000-4000-8000-00000000000${number}`;
  await database.query(
    `INSERT INTO stain_normalization.job (id, key, series, request, state, error, created_at, ended_at)
     VALUES ($1::uuid, $1::uuid::text, '1.2.3', $2::jsonb, $3, $4::jsonb, now(), now())`,
    [id, JSON.stringify(request), state, error && JSON.stringify(error)],
  );
}

const toLookAt = async (): Promise<number> =>
  (await outcomes.toLookAt(new Date(Date.now() - 3_600_000), 10)).length;

it.each<[string, [string, string?], number]>([
  ['is completed', ['COMPLETED'], 0],
  ['is cancelled', ['CANCELED'], 1],
  ['goes to another archive', ['COMPLETED', 'research'], 1],
])('a slide that failed and whose repeat %s', async (_what, [state, to], expected) => {
  await ended(1, 'FAILED');
  expect(await toLookAt()).toBe(1);
  await ended(2, state, to);
  expect(await toLookAt()).toBe(expected);
});
