/** A body that is given up halfway. A fault in the timer that watches it would end the whole service. */
import { once } from 'node:events';
import { connect } from 'node:net';
import express from 'express';
import { expect, it, onTestFinished, vi } from 'vitest';
import { listen } from '../../server/src/http/listen.ts';

it('closes the connection of a body that nobody reads any more', async () => {
  const app = express().post('/', async (request, response) => {
    const closed = new Promise((resolve) => request.once('close', resolve));
    // Leaving the loop takes the socket from the request.
    for await (const chunk of request) if (chunk) break;
    await closed;
    response.status(413).end();
  });
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.close());
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const client = connect(Number(new URL(server.url).port), '127.0.0.1');
  onTestFinished(() => void client.destroy());
  client.on('error', () => {});
  client.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n');
  client.write(Buffer.alloc(100_000));
  const [answer] = (await once(client, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1.1 413 /);
  const closed = once(client, 'close');
  // Throws what a timer throws.
  vi.advanceTimersByTime(2000);
  await closed;
});
