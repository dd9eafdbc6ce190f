import { type ConnectionOptions, connect } from 'node:tls';
import express from 'express';
import { expect, it } from 'vitest';
import { listen } from '../../server/src/http/listen.ts';
import { makeCertificate } from '../support/certificate.ts';

it('lets open requests finish before it closes, and accepts no new ones', async () => {
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

it('speaks TLS, at least version 1.2', async () => {
  await using certificate = await makeCertificate();
  const { certFile, keyFile } = certificate;
  const app = express().get('/', (_request, response) => void response.send('secret'));
  const server = await listen(app, { host: '127.0.0.1', port: 0, tls: { certFile, keyFile } });
  const connectWith = (options: ConnectionOptions) =>
    new Promise<string | null>((resolve, reject) => {
      const { hostname, port } = new URL(server.url);
      const socket = connect(
        { host: hostname, port: Number(port), rejectUnauthorized: false, ...options },
        () => {
          resolve(socket.getProtocol());
          socket.destroy();
        },
      ).on('error', reject);
    });
  expect(server.url).toMatch(/^https:/);
  expect(await connectWith({})).toBe('TLSv1.3');
  expect(await connectWith({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2');
  await expect(connectWith({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).rejects.toThrow();
  await server.close();
  const half = listen(app, { host: '127.0.0.1', port: 0, tls: { certFile } });
  await expect(half).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    data: { key: 'server.tls.keyFile' },
  });
});

it('cuts off a request that does not end', async () => {
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

it('says which address is in use', async () => {
  const server = await listen(express(), { host: '127.0.0.1', port: 0 });
  const port = Number(new URL(server.url).port);
  await expect(listen(express(), { host: '127.0.0.1', port })).rejects.toMatchObject({
    code: 'CONFIGURATION_INVALID',
    message: expect.stringContaining(String(port)),
  });
  await server.close();
});
