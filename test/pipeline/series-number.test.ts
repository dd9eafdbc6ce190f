import { expect, it } from 'vitest';
import { freeSeriesNumber } from '../../server/src/pipeline/store-series.ts';
import { parametersOf, withServer } from '../support/with-server.ts';

const signal = new AbortController().signal;
const OWN = '1.99';

function series(uid: string, number?: number): object {
  return {
    '0020000D': { vr: 'UI', Value: ['1.2'] },
    '0020000E': { vr: 'UI', Value: [uid] },
    ...(number !== undefined && { '00200011': { vr: 'IS', Value: [number] } }),
  };
}

it.each([
  ['the largest plus one', [series('1.3', 7), series('1.4', 2)], 8],
  ['1 in a study that does not exist', [], 1],
  ['that of the series itself, if part of it is stored', [series('1.3', 7), series(OWN, 5)], 5],
  ['above the number of series if none is returned', [series('1.3'), series('1.4'), series('1.5')], 4],
  ['above both if some are returned', [series('1.3', 1), series('1.4'), series('1.5')], 4],
  ['the same again if that of the series itself is not returned', [series('1.3'), series(OWN)], 2],
])('a free Series Number is %s', async (_, found, expected) => {
  await withServer(
    (_, response) => void response.end(JSON.stringify(found)),
    async (client) => expect(await freeSeriesNumber(client, '1.2', OWN, signal)).toBe(expected),
  );
});

it('a free Series Number is found in an archive that refuses includefield, and in one that answers 404', async () => {
  await withServer(
    (request, response) =>
      void (parametersOf(request.url).has('includefield')
        ? response.writeHead(400).end()
        : response.end(JSON.stringify([series('1.3')]))),
    async (client) => expect(await freeSeriesNumber(client, '1.2', OWN, signal)).toBe(2),
  );
  await withServer(
    (_, response) => void response.writeHead(404).end(),
    async (client) => expect(await freeSeriesNumber(client, '1.2', OWN, signal)).toBe(1),
  );
});
