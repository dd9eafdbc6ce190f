/** The user's token on every request to the service, and what happens when it has expired. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ServiceClient } from '../../extension/src/service/service-client.ts';

const signal = AbortSignal.timeout(30_000);
let server: Server;
let seen: (string | undefined)[];
let valid: string | undefined;
let token: string | undefined;
let expired: number;
let client: ServiceClient;

beforeEach(async () => {
  [seen, valid, token, expired] = [[], 'Bearer new', undefined, 0];
  server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.statusCode = request.headers.authorization === valid ? 200 : 401;
    response.setHeader('Content-Type', 'application/json');
    response.end('{"version":"1"}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new ServiceClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    header: () => (token === undefined ? undefined : { Authorization: token }),
    expired: () => expired++,
  });
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test('a request carries the current token', async () => {
  token = 'Bearer new';
  expect(await client.health(signal)).toEqual({ version: '1' });
  expect(seen).toEqual(['Bearer new']);
});

test('a refused request is repeated when the viewer has renewed the token', async () => {
  token = 'Bearer old';
  // The viewer is slow: it renews the token after the request was refused.
  setTimeout(() => (token = 'Bearer new'), 100);
  expect(await client.health(signal)).toEqual({ version: '1' });
  expect(seen).toEqual(['Bearer old', 'Bearer new']);
  expect(expired).toBe(0);
});

test('without a new token the viewer learns that the session has ended', async () => {
  token = 'Bearer old';
  await expect(client.health(signal)).rejects.toMatchObject({ user: { code: 'SESSION_EXPIRED' } });
  expect([seen.length, expired]).toEqual([1, 1]);
});

test('a renewed token that is refused too is not tried a third time', async () => {
  [token, valid] = ['Bearer old', 'Bearer other'];
  // As slow as above.
  setTimeout(() => (token = 'Bearer new'), 50);
  await expect(client.health(signal)).rejects.toMatchObject({ user: { code: 'SESSION_EXPIRED' } });
  expect([seen.length, expired]).toEqual([2, 1]);
});

test('an unreachable service is distinguished from one that refuses', async () => {
  server.close();
  server.closeAllConnections();
  await expect(client.health(signal)).rejects.toMatchObject({ user: { code: 'SERVICE_AWAY' } });
});
