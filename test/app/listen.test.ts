import express from 'express';
import { expect, it } from 'vitest';
import { listen } from '../../server/src/app/listen.ts';

it('lets an open request end before it closes, and takes no new ones', async () => {
  let finish = () => {};
  const arrived = Promise.withResolvers<void>();
  const app = express().get('/', (_request, response) => {
    finish = () => response.send('whole');
    arrived.resolve();
  });
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  const answer = fetch(server.url).then((response) => response.text());
  await arrived.promise;
  const closed = server.close();
  finish();
  expect(await answer).toBe('whole');
  await closed;
  await expect(fetch(server.url)).rejects.toThrow();
});

it('cuts a request off that does not end', async () => {
  const arrived = Promise.withResolvers<void>();
  const server = await listen(
    express().get('/', () => arrived.resolve()),
    { host: '127.0.0.1', port: 0, graceMs: 50 },
  );
  const answer = fetch(server.url).catch((error: Error) => error);
  await arrived.promise;
  await server.close();
  expect(await answer).toBeInstanceOf(Error);
});

it('says which address is taken', async () => {
  const server = await listen(express(), { host: '127.0.0.1', port: 0 });
  const port = Number(new URL(server.url).port);
  await expect(listen(express(), { host: '127.0.0.1', port })).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    message: expect.stringContaining(String(port)),
  });
  await server.close();
});
