import { expect, test } from 'vitest';
import type { WorkerAnswer, WorkerRequest } from '../../extension/src/preview/messages.ts';
import { WorkerQueue } from '../../extension/src/preview/worker-queue.ts';

function fakeWorker(timeoutMs?: number) {
  const asked: WorkerRequest[] = [];
  let answer = (_: WorkerAnswer): void => {};
  let fail = (_: string): void => {};
  const worker = {
    postMessage: (request: WorkerRequest) => void asked.push(request),
    addEventListener(type: string, listener: (event: never) => void) {
      if (type === 'message') answer = (data) => listener({ data } as never);
      else fail = (message) => listener({ message } as never);
    },
    terminate() {},
  };
  return {
    queue: new WorkerQueue(worker, timeoutMs),
    asked,
    answer: (data: WorkerAnswer) => answer(data),
    fail: (message: string) => fail(message),
  };
}

const request = (wasmPaths: string): WorkerRequest => ({
  kind: 'open',
  graphs: { apply: new Uint8Array(), statistics: new Uint8Array() },
  wasmPaths,
});
const opened = { kind: 'opened', executionProvider: 'wasm' } as const;
const never = new AbortController().signal;

test('one request at a time, in order', async () => {
  const { queue, asked, answer } = fakeWorker();
  const first = queue.ask(request('a'), never);
  const second = queue.ask(request('b'), never);
  expect(asked).toHaveLength(1);
  answer(opened);
  expect(await first).toEqual(opened);
  expect(asked).toHaveLength(2);
  answer({ kind: 'failed', message: 'no memory' });
  await expect(second).rejects.toThrow('no memory');
});

test('a request aborted before its turn never reaches the worker', async () => {
  const { queue, asked, answer } = fakeWorker();
  const given = new AbortController();
  const first = queue.ask(request('a'), never);
  const second = queue.ask(request('b'), given.signal);
  const third = queue.ask(request('c'), never);
  given.abort(new Error('moved on'));
  answer(opened);
  await first;
  await expect(second).rejects.toThrow('moved on');
  expect(asked.at(-1)).toMatchObject({ wasmPaths: 'c' });
  answer(opened);
  await third;
});

test('a worker that crashes fails all waiting requests, and all later ones', async () => {
  const { queue, fail } = fakeWorker();
  const waiting = [queue.ask(request('a'), never), queue.ask(request('b'), never)];
  expect(queue.isBroken).toBe(false);
  fail('out of memory');
  for (const one of waiting) await expect(one).rejects.toThrow('out of memory');
  expect(queue.isBroken).toBe(true);
  await expect(queue.ask(request('c'), never)).rejects.toThrow('out of memory');
});

test('a worker that was killed and stays silent is abandoned', async () => {
  const { queue } = fakeWorker(20);
  await expect(queue.ask(request('a'), never)).rejects.toThrow('is not responding');
  expect(queue.isBroken).toBe(true);
});
