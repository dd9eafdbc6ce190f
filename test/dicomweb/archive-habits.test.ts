/**
 * Archives that refuse the usual requests: each server here refuses one of them, and the client must try another way
 * once.
 */
import { describe, expect, it, test } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { ArchiveHabits } from '../../server/src/dicomweb/archive-habits.ts';
import type { DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { bodyOf, type Handler } from '../support/fault-server.ts';
import { collect, storableSlide } from '../support/storable.ts';
import { parametersOf, withServer } from '../support/with-server.ts';

const signal = new AbortController().signal;

const series = (uid: number, more: object = {}): object => ({
  '0020000D': { vr: 'UI', Value: ['1.2'] },
  '0020000E': { vr: 'UI', Value: [`1.${uid}`] },
  ...more,
});
const uidsOf = (found: readonly object[]): unknown[] =>
  found.map((json) => textOf(json as never, '0020000E'));

async function framesOf(client: DicomWebClient, numbers: readonly number[]): Promise<string[]> {
  const found = [];
  for await (const { bytes } of client.retrieveFrames('1', '2', '3', numbers, signal))
    found.push(Buffer.from(bytes).toString());
  return found;
}

describe('an archive that does not know application/dicom+json', () => {
  const jsonOnly: Handler = async (request, response) => {
    await bodyOf(request);
    if (request.headers.accept !== 'application/json') return void response.writeHead(406).end();
    response.setHeader('Content-Type', 'Application/JSON; charset=UTF-8');
    response.end(request.method === 'POST' ? '{}' : JSON.stringify([series(1)]));
  };

  it('is asked for application/json, and from then on directly', async () => {
    await withServer(jsonOnly, async (client, server) => {
      expect(await client.searchSeries({ limit: 1 }, signal)).toHaveLength(1);
      expect(server.requests).toHaveLength(2);
      await client.searchSeries({ limit: 1 }, signal);
      await client.seriesMetadata('1', '2', signal);
      expect(server.requests).toHaveLength(4);
    });
  });

  it('also gets that Accept when instances are stored', async () => {
    const slide = storableSlide('json only');
    await withServer(jsonOnly, async (client) => {
      await client.searchSeries({ limit: 1 }, signal);
      // The answer does not mention the instance, and searches do not find it; a 406 would be ARCHIVE_REFUSED.
      await expect(client.storeInstance(slide.studyUid, slide, signal)).rejects.toMatchObject({
        code: 'STORE_UNVERIFIED',
      });
    });
  });

  it('causes an error that says what it lacks if it knows neither', async () => {
    await withServer(
      (_, response) => void response.writeHead(406).end(),
      async (client, server) => {
        await expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject({
          code: 'ARCHIVE_LACKING',
          message: expect.stringContaining('application/dicom+json'),
          data: { status: 406 },
        });
        expect(server.requests).toHaveLength(2);
      },
    );
  });
});

describe('an archive that refuses transfer-syntax=*', () => {
  const answering =
    (status: number, takes: (accept: string) => boolean): Handler =>
    (request, response) => {
      if (!takes(request.headers.accept!)) return void response.writeHead(status).end();
      response.setHeader('Content-Type', 'application/octet-stream').end('pixels');
    };

  it.each([400, 406, 415, 501])('gets the list of readable transfer syntaxes (%i)', async (status) => {
    const takes = (accept: string): boolean =>
      /type="image\/jpeg"; transfer-syntax=1\.2\.840\.10008\.1\.2\.4\.50\b/.test(accept);
    await withServer(answering(status, takes), async (client, server) => {
      expect(await framesOf(client, [1])).toEqual(['pixels']);
      expect(await framesOf(client, [2])).toEqual(['pixels']);
      expect(server.requests).toHaveLength(3);
    });
  });

  it('chooses itself if it refuses that too, both for instances and for frames', async () => {
    const takes = (accept: string): boolean => !accept.includes('transfer-syntax');
    await withServer(answering(406, takes), async (client, server) => {
      expect(String(await collect(client.retrieveInstance('1', '2', '3', signal)))).toBe('pixels');
      expect(server.requests).toHaveLength(3);
      expect(await framesOf(client, [1])).toEqual(['pixels']);
      expect(server.requests).toHaveLength(6);
      await collect(client.retrieveInstance('1', '2', '3', signal));
      await framesOf(client, [1]);
      expect(server.requests).toHaveLength(8);
    });
  });

  it('causes an error that says what it lacks if it refuses all', async () => {
    await withServer(
      answering(406, () => false),
      async (client, server) => {
        await expect(framesOf(client, [1])).rejects.toMatchObject({
          code: 'ARCHIVE_LACKING',
          message: expect.stringContaining('returns frames neither with transfer-syntax=*'),
        });
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it('results in the first refusal if that may have another cause', async () => {
    await withServer(
      answering(400, () => false),
      (client) =>
        expect(framesOf(client, [9])).rejects.toMatchObject({
          code: 'ARCHIVE_REFUSED',
          data: { status: 400 },
        }),
    );
  });

  it('is asked in the usual way again if the other way hit a transient fault', async () => {
    let isBusy = true;
    await withServer(
      (request, response) => {
        if (request.headers.accept!.endsWith('=*')) response.writeHead(406).end();
        else if (isBusy) response.writeHead(503, { 'Retry-After': new Date().toUTCString() }).end();
        else response.setHeader('Content-Type', 'application/octet-stream').end('pixels');
      },
      async (client, server) => {
        await expect(framesOf(client, [1])).rejects.toMatchObject({ code: 'ARCHIVE_ERROR' });
        isBusy = false;
        const before = server.requests.length;
        expect(await framesOf(client, [1])).toEqual(['pixels']);
        expect(server.requests.length - before).toBe(2);
      },
      { maxRetries: 1 },
    );
  });

  it('is asked with it again once it is fixed', async () => {
    let takes = (accept: string): boolean => !accept.includes('transfer-syntax');
    await withServer(
      (request, response, number) => answering(406, takes)(request, response, number),
      async (client) => {
        await framesOf(client, [1]);
        takes = (accept) => accept.endsWith('transfer-syntax=*');
        expect(await framesOf(client, [1])).toEqual(['pixels']);
      },
    );
  });
});

describe('an archive that refuses parameters of a search', () => {
  const all = Array.from({ length: 450 }, (_, i) => series(i));
  const refusing =
    (refused: (parameters: URLSearchParams) => boolean, status = 400): Handler =>
    (request, response) => {
      const parameters = parametersOf(request.url);
      if (refused(parameters)) return void response.writeHead(status).end();
      const start = Number(parameters.get('offset') ?? 0);
      const end = start + Number(parameters.get('limit') ?? all.length);
      response.end(JSON.stringify(all.slice(start, end)));
    };

  it('is asked without includefield, and from then on directly', async () => {
    await withServer(
      refusing((parameters) => parameters.has('includefield')),
      async (client, server) => {
        const wanted = { StudyInstanceUID: '1.2', includefield: 'SeriesNumber' };
        expect(await client.searchSeries(wanted, signal)).toHaveLength(450);
        await client.searchSeries(wanted, signal);
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it.each([
    ['limit', (parameters: URLSearchParams) => parameters.has('limit'), 1],
    ['offset', (parameters: URLSearchParams) => parameters.has('offset'), 0],
  ])('is asked for everything at once if it does not support %s', async (_, refused, missed) => {
    await withServer(
      refusing(refused),
      async (client, server) => {
        expect(await client.searchSeries({}, signal)).toHaveLength(450);
        const before = server.requests.length;
        await client.searchSeries({}, signal);
        expect(server.requests.length - before).toBe(1);
        // Attributes requested by number are left out here.
        expect(uidsOf(await client.searchSeries({ limit: 2, offset: 3 }, signal))).toEqual(['1.3', '1.4']);
        expect(server.requests.length - before - missed).toBeLessThanOrEqual(2);
      },
      { pageSize: 200 },
    );
  });

  it('is asked without either of two that it refuses', async () => {
    await withServer(
      refusing((parameters) => Number(parameters.get('limit')) > 200 || parameters.has('includefield')),
      async (client, server) => {
        const wanted = { includefield: 'Manufacturer' };
        expect(await client.searchSeries(wanted, signal)).toHaveLength(450);
        const first = server.requests.length;
        await client.searchSeries(wanted, signal);
        // Pages of 200.
        expect(server.requests.length - first).toBe(3);
      },
    );
  });

  it('results in the first refusal if nothing helps, after trying each way once', async () => {
    await withServer(
      refusing(() => true, 422),
      async (client, server) => {
        await expect(client.searchSeries({ includefield: 'Rows' }, signal)).rejects.toMatchObject({
          code: 'ARCHIVE_REFUSED',
          data: { status: 422 },
        });
        expect(new Set(server.requests).size).toBe(6);
        expect(server.requests).toHaveLength(6);
      },
    );
  });

  it('causes an error if it does not support limit and says that results are missing', async () => {
    await withServer(
      (request, response) => {
        if (parametersOf(request.url).has('limit')) return void response.writeHead(400).end();
        response.setHeader('Warning', '299 x "There are 5 additional results that can be requested"');
        response.end(JSON.stringify(all.slice(0, 100)));
      },
      async (client) =>
        expect(client.searchSeries({}, signal)).rejects.toMatchObject({ code: 'ARCHIVE_LACKING' }),
    );
  });

  it('may ignore limit', async () => {
    await withServer(
      (_, response) => void response.end(JSON.stringify(all)),
      async (client, server) => {
        expect(await client.searchSeries({}, signal)).toHaveLength(450);
        expect(server.requests).toHaveLength(2);
      },
      { pageSize: 100 },
    );
  });

  it('may omit the UIDs that are in the path', async () => {
    const { '0020000D': _, ...bare } = series(7) as Record<string, unknown>;
    await withServer(
      (_, response) => void response.end(JSON.stringify([bare])),
      async (client) => {
        expect(uidsOf(await client.searchSeries({ StudyInstanceUID: '1.2' }, signal))).toEqual(['1.7']);
        expect(await client.searchSeries({}, signal)).toEqual([]);
      },
    );
  });
});

describe('404 to a search', () => {
  it('means no match if the study is named, and after the last page', async () => {
    await withServer(
      (request, response) =>
        void (parametersOf(request.url).has('offset') || request.url!.includes('/studies/')
          ? response.writeHead(404).end()
          : response.end(JSON.stringify([series(1), series(2)]))),
      async (client, server) => {
        expect(await client.searchSeries({ StudyInstanceUID: '1.5' }, signal)).toEqual([]);
        expect(server.requests).toHaveLength(1);
        expect(await client.searchSeries({}, signal)).toHaveLength(2);
      },
      { pageSize: 2 },
    );
  });

  it('means no match if the same search without a condition is answered, which is tried once', async () => {
    await withServer(
      (request, response) =>
        void (parametersOf(request.url).has('Modality')
          ? response.writeHead(404).end()
          : response.end(JSON.stringify([series(1)]))),
      async (client, server) => {
        expect(await client.searchSeries({ Modality: 'SM' }, signal)).toEqual([]);
        expect(await client.searchSeries({ Modality: 'SM' }, signal)).toEqual([]);
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it('means that there is no DICOMweb at the address if nothing is found', async () => {
    await withServer(
      (_, response) => void response.writeHead(404).end(),
      async (client) => {
        for (const search of [client.searchStudies, client.searchSeries])
          await expect(search({ Modality: 'SM' }, signal)).rejects.toMatchObject({
            code: 'ARCHIVE_UNREACHABLE',
            message: expect.stringContaining('404'),
          });
      },
    );
  });

  it('means that the archive lacks the search if it has studies', async () => {
    await withServer(
      (request, response) =>
        void (request.url!.startsWith('/dicom-web/studies')
          ? response.end(JSON.stringify([series(1)]))
          : response.writeHead(404).end()),
      async (client) => {
        await expect(client.searchSeries({ Modality: 'SM' }, signal)).rejects.toMatchObject({
          code: 'ARCHIVE_LACKING',
          message: expect.stringContaining('series'),
        });
        expect(await client.searchSeries({ StudyInstanceUID: '1.2' }, signal)).toHaveLength(1);
      },
    );
  });
});

describe('answers from in front of the archive', () => {
  const page: Handler = (_, response) =>
    void response
      .setHeader('Content-Type', 'Text/HTML; charset=utf-8')
      .end('<!DOCTYPE html>\n<title>Sign in</title>');

  it('are reported as a web page, whatever was requested', async () => {
    const expected = { code: 'ARCHIVE_PROTOCOL', message: expect.stringContaining('login page') };
    await withServer(page, async (client) => {
      await expect(client.searchStudies({}, signal)).rejects.toMatchObject(expected);
      await expect(client.seriesMetadata('1', '2', signal)).rejects.toMatchObject(expected);
      await expect(collect(client.retrieveInstance('1', '2', '3', signal))).rejects.toMatchObject(expected);
      await expect(framesOf(client, [1])).rejects.toMatchObject(expected);
      await expect(framesOf(client, [1, 2])).rejects.toMatchObject(expected);
    });
  });

  it('are reported as another host, by name but without the rest of its URL', async () => {
    await withServer(
      (_, response) =>
        void response.writeHead(302, { Location: 'https://login.example/authorize?state=secret' }).end(),
      async (client) => {
        const error = await client.searchStudies({}, signal).catch((thrown: Error) => thrown);
        expect(error).toMatchObject({ code: 'ARCHIVE_PROTOCOL' });
        expect((error as Error).message).toContain('https://login.example');
        expect((error as Error).message).not.toContain('secret');
      },
    );
  });
});

it('reads JSON after a byte order mark', async () => {
  await withServer(
    (_, response) => void response.end(`\ufeff${JSON.stringify([series(1)])}`),
    async (client) => expect(await client.searchSeries({}, signal)).toHaveLength(1),
  );
});

test('one odd instance does not change how the others are requested, once the usual way has worked', async () => {
  const habits = new ArchiveHabits();
  const refused = new StainError('ARCHIVE_REFUSED', 'No.', { data: { status: 406 } });
  const ways = {
    refusals: new Set([406]),
    ways: () => [{ instances: 'none' } as const],
    lacks: 'It gives none.',
    isShownByOne: true,
  };
  const asked = (isOdd: boolean): Promise<string> =>
    habits.ask(async ({ instances }) => {
      if (isOdd && instances === 'any') throw refused;
      return instances;
    }, ways);
  expect(await asked(false)).toBe('any');
  expect(await asked(true)).toBe('none');
  expect(await asked(false)).toBe('any');
  // One that has never taken the usual way is asked in the other at once.
  const strict = new ArchiveHabits();
  const tries: string[] = [];
  const ask = () =>
    strict.ask(async ({ instances }) => {
      tries.push(instances);
      if (instances === 'any') throw refused;
    }, ways);
  await ask();
  await ask();
  expect(tries).toEqual(['any', 'none', 'none']);
});
