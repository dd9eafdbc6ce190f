/** Errors of one of several archives say which it is; nothing else about them changes. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { namedClient } from '../../server/src/dicomweb/named-client.ts';
import { isRetryable } from '../../server/src/dicomweb/retry.ts';

const server = createServer((_request, response) => void response.writeHead(503).end()).listen(
  0,
  '127.0.0.1',
);
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicom-web`;
const own = createDicomWebClient({ url, maxRetries: 0 });
const client = namedClient(own, 'vendor');
afterAll(async () => {
  await client.close();
  server.close();
});

async function read(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

test.each([
  ['a search', () => client.searchSeries({}, AbortSignal.timeout(9000))],
  ['metadata', () => client.seriesMetadata('1.2', '1.3', AbortSignal.timeout(9000))],
  ['an instance', () => read(client.retrieveInstance('1.2', '1.3', '1.4', AbortSignal.timeout(9000)))],
  ['frames', () => read(client.retrieveFrames('1.2', '1.3', '1.4', [1], AbortSignal.timeout(9000)))],
])('%s', async (_what, ask) => {
  const error = await ask().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({
    code: 'ARCHIVE_ERROR',
    message: expect.stringMatching(/^vendor: The archive answered 503/),
    data: { status: 503, archive: 'vendor' },
  });
  expect(isRetryable(error)).toBe(true);
});

test('whoever leaves is not told of archives', async () => {
  const left = AbortSignal.abort();
  await expect(client.searchSeries({}, left)).rejects.toMatchObject({
    code: 'CANCELLED',
    message: expect.not.stringContaining('vendor'),
  });
});
