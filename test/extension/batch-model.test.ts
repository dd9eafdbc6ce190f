/** Many slides at once: what is chosen, asked for and reported. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BatchReport } from '../../core/src/contract/index.ts';
import { type BatchClient, BatchModel, countDone, isOver } from '../../extension/src/batches/batch-model.ts';
import { type StudyRow, searchStudies } from '../../extension/src/batches/study-search.ts';
import { PluginError, ServiceError } from '../../extension/src/plugin-error.ts';

const item = (uid: string, more: object = {}) => ({
  '0020000D': { vr: 'UI', Value: [uid] },
  '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Doe^Jane^^Dr' }] },
  '00080061': { vr: 'CS', Value: ['SM'] },
  ...more,
});
const row = (uid: string): StudyRow => ({
  studyInstanceUid: uid,
  patientName: '',
  patientId: '',
  date: '',
  description: '',
  accessionNumber: '',
});
const reportOf = (...states: string[]): BatchReport =>
  ({
    id: 'one',
    counts: Object.fromEntries(states.map((state) => [state, states.filter((one) => one === state).length])),
    series: states.map((state, i) => ({ state, studyInstanceUid: `1.${i}` })),
  }) as unknown as BatchReport;

function fakeClient() {
  return {
    templates: vi.fn(async () => [
      { id: 'old', usable: false },
      { id: 'he', usable: true },
    ]),
    search: vi.fn(async (_path: string): Promise<object[]> => [item('1.1')]),
    createBatch: vi.fn(async (_body: object) => ({ id: 'one' })),
    batch: vi.fn(async (_id: string): Promise<BatchReport> => reportOf('COMPLETED')),
    batches: vi.fn(async () => ({ batches: [] })),
    cancelBatch: vi.fn(async () => ({ isCancelled: true })),
    batchCsv: vi.fn(async () => new Blob(['a'])),
  };
}

let client: ReturnType<typeof fakeClient>;
let model: BatchModel | undefined;
const open = (batch?: string): BatchModel => {
  model = new BatchModel(client as unknown as BatchClient, batch);
  return model;
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  client = fakeClient();
});
afterEach(() => {
  model?.close();
  vi.useRealTimers();
});

test('templates that cannot be had have failed, and are not loading for ever', async () => {
  client.templates.mockRejectedValueOnce(new TypeError('Failed to fetch'));
  const opened = open();
  await vi.waitUntil(() => opened.state.error !== null);
  expect(opened.state.templates.state).toBe('failed');
});

describe('the list', () => {
  const signal = new AbortController().signal;

  test('is of studies with slides, and says who they are of', async () => {
    client.search.mockResolvedValueOnce([
      item('1.1'),
      item('1.2', { '00080061': { vr: 'CS', Value: ['CT'] } }),
      item('1.3', { '00080061': undefined }),
    ]);
    const page = await searchStudies(client, { PatientName: ' doe ', StudyDate: '2026' }, 50, signal);
    expect(page.rows.map(({ studyInstanceUid }) => studyInstanceUid)).toEqual(['1.1', '1.3']);
    expect(page.rows[0]!.patientName).toBe('Doe, Jane, Dr');
    const asked = new URLSearchParams(client.search.mock.calls[0]![0].replace('studies?', ''));
    expect(Object.fromEntries(asked)).toMatchObject({
      ModalitiesInStudy: 'SM',
      PatientName: '*doe*',
      StudyDate: '2026',
      offset: '50',
    });
    expect(asked.has('PatientID')).toBe(false);
  });

  test('says whether there is more of it', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => item(`1.${i}`));
    client.search.mockResolvedValueOnce(many(51)).mockResolvedValueOnce(many(50));
    expect(await searchStudies(client, {}, 0, signal)).toMatchObject({ hasMore: true, rows: { length: 50 } });
    expect(await searchStudies(client, {}, 50, signal)).toMatchObject({ hasMore: false });
  });

  test('of the last search is shown, whichever comes last', async () => {
    const slow = Promise.withResolvers<object[]>();
    client.search.mockReturnValueOnce(slow.promise);
    const at = open();
    at.search({ PatientID: '7' });
    await vi.waitFor(() => expect(at.state.studies.state).toBe('ready'));
    slow.resolve([item('9.9')]);
    await slow.promise;
    expect(at.state.studies).toMatchObject({ value: { rows: [{ studyInstanceUid: '1.1' }] } });
  });
});

test('as many studies are selected as a batch may have', () => {
  const at = open();
  at.select(
    Array.from({ length: 120 }, (_, i) => row(`1.${i}`)),
    true,
  );
  expect(at.state.selected.size).toBe(100);
  at.select([row('1.0')], false);
  at.select([row('2.1'), row('2.2')], true);
  expect([at.state.selected.size, at.state.selected.has('2.1'), at.state.selected.has('2.2')]).toEqual([
    100,
    true,
    false,
  ]);
});

test('what is chosen is asked for once, and followed until every slide is through', async () => {
  client.search.mockResolvedValue([
    { '0020000E': { vr: 'UI', Value: ['1.9'] }, '0008103E': { vr: 'LO', Value: ['A slide'] } },
  ]);
  const at = open();
  await vi.waitFor(() => expect(at.state.template).toBe('he'));
  const started = vi.fn();
  at.start(started);
  expect(client.createBatch).not.toHaveBeenCalled();
  at.select([row('1.1'), row('1.2')], true);
  at.chooseTransfer('paper');
  client.batch.mockResolvedValueOnce(reportOf('WAITING', 'IN PROGRESS'));
  client.batch.mockRejectedValueOnce(new PluginError('SERVICE_AWAY'));
  at.start(started);
  at.start(started);
  await vi.waitFor(() => expect(started).toHaveBeenCalledExactlyOnceWith('one'));
  expect(client.createBatch.mock.calls.map(([body]) => body)).toEqual([
    { studies: ['1.1', '1.2'], template: 'he', model: 'fast', transfer: 'paper' },
  ]);
  await vi.waitFor(() => expect(at.state.report?.counts).toEqual({ WAITING: 1, 'IN PROGRESS': 1 }));
  await vi.advanceTimersByTimeAsync(2000);
  expect(at.state.error?.code).toBe('SERVICE_AWAY');
  await vi.advanceTimersByTimeAsync(2000);
  expect(at.state).toMatchObject({ error: null, report: { counts: { COMPLETED: 1 } } });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(client.batch).toHaveBeenCalledTimes(3);
  expect(at.state.slides.get('1.1 1.9')).toBe('A slide');
});

test('a batch that is not there is told, and not asked for again', async () => {
  const user = { code: 'BATCH_NOT_FOUND', message: 'There is none.', remedy: 'Look for it.' };
  client.batch.mockRejectedValue(new ServiceError(404, user));
  const at = open('gone');
  await vi.waitFor(() => expect(at.state.error).toEqual(user));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(client.batch).toHaveBeenCalledOnce();
});

test('a page that is left asks nothing any more', async () => {
  client.batch.mockResolvedValue(reportOf('WAITING'));
  const at = open('one');
  await vi.waitFor(() => expect(at.state.report).not.toBeNull());
  at.close();
  const asked = client.batch.mock.calls.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(client.batch.mock.calls.length).toBe(asked);
});

test('a batch that was over before a late answer arrived stays over', async () => {
  client.batch.mockResolvedValueOnce(reportOf('IN PROGRESS'));
  const at = open('one');
  await vi.waitFor(() => expect(at.state.report).not.toBeNull());
  const late = Promise.withResolvers<BatchReport>();
  client.batch.mockReturnValueOnce(late.promise);
  at.cancel();
  await vi.waitFor(() => expect(client.batch).toHaveBeenCalledTimes(2));
  await vi.advanceTimersByTimeAsync(2000);
  expect(at.state.report?.counts).toEqual({ COMPLETED: 1 });
  late.resolve(reportOf('IN PROGRESS'));
  await late.promise;
  await vi.advanceTimersByTimeAsync(2000);
  expect(at.state.report?.counts).toEqual({ COMPLETED: 1 });
});

test('slides are finished when their state can no longer change', () => {
  const { counts } = reportOf(
    'COMPLETED',
    'FAILED',
    'REFUSED',
    'SKIPPED',
    'CANCELED',
    'WAITING',
    'SCHEDULED',
  );
  expect(countDone({ counts })).toEqual({ done: 5, total: 7 });
  expect(isOver({ counts })).toBe(false);
  expect(isOver(reportOf('COMPLETED', 'REFUSED'))).toBe(true);
});
