/**
 * Attack: an archive, or somebody who stored into it, supplies malformed UIDs, to divert requests and files or to end
 * the work of others. One poisoned result is skipped and counted; a slide that has one is refused by name.
 */
import type { ServerResponse } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toStainError } from '../../core/src/errors.ts';
import { type DicomJson, textOf } from '../../server/src/dicom/json-model.ts';
import { toDicomJson } from '../../server/src/dicom/to-json.ts';
import { isUid } from '../../server/src/dicom/uid.ts';
import {
  createDicomWebClient,
  type DicomWebClient,
  type DicomWebClientOptions,
} from '../../server/src/dicomweb/client.ts';
import { instancePath } from '../../server/src/dicomweb/resource-path.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { inspectSeries } from '../../server/src/pipeline/inspect-series.ts';
import { freeSeriesNumber } from '../../server/src/pipeline/store-series.ts';
import { FINGERPRINT, openJobs, SteeredWork } from '../jobs/support.ts';
import { startFaultServer } from '../support/fault-server.ts';
import { makeSlideHeader, type SlideInstanceOptions } from '../support/make-slide.ts';
import { orthancMissing, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { runs } from '../support/property-runs.ts';
import { storableSlide } from '../support/storable.ts';
import { startApp } from '../support/test-app.ts';

const signal = new AbortController().signal;

/** The element of a UID, as no archive should send it. */
const POISONED: readonly (readonly [string, unknown])[] = [
  ['a path', { vr: 'UI', Value: ['../..'] }],
  ['a fragment', { vr: 'UI', Value: ['1.2#/../../system'] }],
  ['SQL', { vr: 'UI', Value: ["1'; DROP TABLE job; --"] }],
  ['a line break', { vr: 'UI', Value: ['1.2\r\nX-Evil: 1'] }],
  ['65 digits', { vr: 'UI', Value: ['1'.repeat(65)] }],
  ['10 MB', { vr: 'UI', Value: ['1'.repeat(10_000_000)] }],
  ['an object', { vr: 'UI', Value: [{ Alphabetic: '1.2' }] }],
  ['text in place of a list', { vr: 'UI', Value: '1.2.3' }],
  ['text in place of an element', '1.2.3'],
  ['null', null],
  ['nothing', undefined],
];
const TAGS = { studies: '0020000D', series: '0020000E', instances: '00080018' } as const;
const valid = (number: number): Record<string, unknown> => ({
  [TAGS.studies]: { vr: 'UI', Value: [`1.2.${number}`] },
  [TAGS.series]: { vr: 'UI', Value: [`1.2.3.${number}`] },
  [TAGS.instances]: { vr: 'UI', Value: [`1.2.3.4.${number}`] },
});

/** A client of an archive that gives this answer to everything. */
async function withAnswer(
  answer: (url: URL, response: ServerResponse) => unknown,
  work: (client: DicomWebClient) => Promise<void>,
  options: Partial<DicomWebClientOptions> = {},
): Promise<void> {
  await using server = await startFaultServer((request, response) => {
    response.end(JSON.stringify(answer(new URL(request.url!, 'http://archive'), response)));
  });
  const client = createDicomWebClient({ url: server.url, timeoutMs: 20_000, pageSize: 3, ...options });
  try {
    await work(client);
  } finally {
    await client.close();
  }
}

describe('A search', () => {
  const ask = {
    studies: (client: DicomWebClient, leftOut: (count: number) => void) =>
      client.searchStudies({}, signal, { onLeftOut: leftOut }),
    series: (client: DicomWebClient, leftOut: (count: number) => void) =>
      client.searchSeries({}, signal, { onLeftOut: leftOut }),
    instances: (client: DicomWebClient, leftOut: (count: number) => void) =>
      client.searchInstances({}, signal, { onLeftOut: leftOut }),
  };
  const cases = POISONED.flatMap(([what, element]) =>
    (['studies', 'series', 'instances'] as const).map((level) => ({ what, element, level })),
  );

  it.each(cases)(
    'for $level continues past a UID that is $what, and counts it',
    async ({ element, level }) => {
      // The whole second page is poisoned, and one result of the first.
      const pages = [[valid(1), poison(2), valid(3)], [4, 5, 6].map(poison), [valid(7)], []];
      function poison(number: number): unknown {
        return { ...valid(number), [TAGS[level]]: element };
      }
      await withAnswer(
        (url) => pages[Number(url.searchParams.get('offset')) / 3],
        async (client) => {
          const told: number[] = [];
          const found = await ask[level](client, (count) => told.push(count));
          expect(found.map((one) => textOf(one, TAGS[level]))).toEqual(
            [1, 3, 7].map((number) => textOf(valid(number) as never as DicomJson, TAGS[level])),
          );
          expect(told).toEqual([4]);
        },
      );
    },
  );

  it('for series skips those whose study is poisoned', async () => {
    await withAnswer(
      () => [{ ...valid(1), [TAGS.studies]: { vr: 'UI', Value: ['../../system'] } }, valid(2)],
      async (client) => expect(await client.searchSeries({}, signal)).toHaveLength(1),
    );
  });

  it('ends if the archive sends the same page for ever, with a poisoned result in it', async () => {
    await withAnswer(
      () => [valid(1), { ...valid(2), [TAGS.series]: null }, valid(3)],
      async (client) => {
        const told: number[] = [];
        expect(
          await client.searchSeries({}, signal, { onLeftOut: (count) => void told.push(count) }),
        ).toHaveLength(2);
        expect(told).toEqual([1]);
      },
    );
  });

  it('ends if the results of the archive never end', async () => {
    await withAnswer(
      (url) =>
        [0, 1, 2].map((i) => ({ ...valid(Number(url.searchParams.get('offset')) + i), x: 'x'.repeat(1e5) })),
      async (client) =>
        expect(client.searchSeries({}, signal)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
      { maxMetadataBytes: 5e6 },
    );
  });

  it('does not take a poisoned Series Number for the next one', async () => {
    const numbered = (number: number, value: unknown): unknown => ({
      ...valid(number),
      '00200011': { vr: 'IS', Value: [value] },
    });
    await withAnswer(
      (url) =>
        !url.searchParams.has('offset') ? [numbered(1, 1e300), numbered(2, 'NaN'), numbered(3, 7)] : [],
      async (client) => expect(await freeSeriesNumber(client, '1.2.3', '1.2.9', signal)).toBe(8),
    );
  });
});

describe('A slide', () => {
  const series = { studyInstanceUid: '1.2.3', seriesInstanceUid: '1.2.4' };
  const level = (number: number, size: number): Record<string, unknown> => {
    const options: SlideInstanceOptions = {
      rows: 256,
      columns: 256,
      totalRows: size,
      totalColumns: size,
      frames: Array.from({ length: (size / 256) ** 2 }, () => new Uint8Array(10)),
      instanceNumber: number,
      pixelSpacing: 0.512 / size,
      overrides: { StudyInstanceUID: series.studyInstanceUid, SeriesInstanceUID: series.seriesInstanceUid },
    };
    return { ...toDicomJson(makeSlideHeader(options)) };
  };
  const inspect = async (client: DicomWebClient) =>
    inspectSeries(
      series,
      { source: client, limits: { maxSlideMegapixels: 1000, maxInstanceBytes: 1e9 } },
      signal,
    );

  it('is complete if all is well', async () => {
    await withAnswer(
      () => [level(1, 1024), level(2, 512)],
      async (client) => expect((await inspect(client)).levels).toHaveLength(2),
    );
  });

  it.each(POISONED)(
    'is never silently reduced by an instance whose UID is %s: it is refused by name',
    async (_, element) => {
      for (const tag of Object.values(TAGS))
        await withAnswer(
          () => [level(1, 1024), { ...level(2, 512), [tag]: element }],
          async (client) => {
            const error = await inspect(client).then(
              () => undefined,
              (thrown: unknown) => toStainError(thrown),
            );
            expect(error?.code).toBe('DICOM_INVALID');
            expect(error?.message).not.toMatch(/system|DROP|1111/);
          },
        );
    },
  );

  it('is refused if two instances have one UID, or one belongs to another series', async () => {
    await withAnswer(
      () => [level(1, 1024), { ...level(2, 512), [TAGS.instances]: level(1, 1024)[TAGS.instances] }],
      async (client) =>
        expect(inspect(client)).rejects.toMatchObject({
          code: 'SLIDE_STRUCTURE_INVALID',
          message: expect.stringContaining('same SOP Instance UID'),
        }),
    );
    await withAnswer(
      () => [level(1, 1024), { ...level(2, 512), [TAGS.series]: { vr: 'UI', Value: ['1.2.5'] } }],
      async (client) => expect(inspect(client)).rejects.toMatchObject({ code: 'DICOM_INVALID' }),
    );
  });
});

/** Submits a batch to a service in front of that archive, which does not process it afterwards. */
async function askForBatch(
  jobs: JobService,
  client: DicomWebClient,
  query: object,
): Promise<{ status: number; warning: string | null; body: unknown }> {
  const batches = new BatchService({ jobs, onFault: () => {} });
  await using app = await startApp(jobs, {
    batches,
    searchSeries: (_principal, wanted, searchSignal, options) =>
      client.searchSeries({ ...wanted, limit: 10 }, searchSignal, options),
  });
  const response = await fetch(`${app.url}/api/batches`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query, template: 'one' }),
  });
  const answer = {
    status: response.status,
    warning: response.headers.get('warning'),
    body: await response.json(),
  };
  await batches.close();
  return answer;
}

describe('A batch', () => {
  const work = new SteeredWork();
  let jobs: JobService;
  beforeAll(async () => {
    jobs = await openJobs({ run: work.run, fingerprint: async () => FINGERPRINT });
  });
  afterAll(() => jobs.close());

  it('contains the series that can be named, and says how many cannot', async () => {
    await withAnswer(
      () => [valid(1), { ...valid(2), [TAGS.series]: { vr: 'UI', Value: ['../../system'] } }],
      async (client) => {
        const { status, warning, body } = await askForBatch(jobs, client, { StudyDate: '20260101-' });
        expect(status).toBe(202);
        expect(body).toMatchObject({ counts: { WAITING: 1 } });
        expect(warning).toMatch(/^299 .*1 series .* no valid UID/);
      },
    );
  });
});

describe('A batch with a series of which more is wrong', () => {
  it.each<[string, Record<string, unknown>]>([
    ['a UID that is a number', { [TAGS.series]: { vr: 'UI', Value: [6] } }],
    ['text where there are numbers', { '00201209': { vr: 'US', Value: ['many'] } }],
    ['a sequence of texts', { '00081032': { vr: 'SQ', Value: ['text'] } }],
    ['an element of no kind', { '00080070': 'Manufacturer' }],
  ])(
    'attack: %s; the others get their jobs, and the fault is shown with the series',
    async (_what, poison) => {
      await using jobs = await openForOne();
      await withAnswer(
        () => [valid(1), { ...valid(2), ...poison }],
        async (client) => {
          const { status, body } = await askForBatch(jobs.service, client, {});
          expect([status, body]).toMatchObject([202, { counts: { WAITING: 2 } }]);
        },
      );
    },
  );

  async function openForOne() {
    const service = await openJobs({ run: new SteeredWork().run, fingerprint: async () => FINGERPRINT });
    return { service, [Symbol.asyncDispose]: () => service.close() };
  }
});

describe('A path', () => {
  it('contains only UIDs, whatever the archive sends', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9./#?%]{0,70}$/));
    fc.assert(
      fc.property(text, text, text, (studyUid, seriesUid, sopUid) => {
        let path: string[] | undefined;
        try {
          path = instancePath({ studyUid, seriesUid, sopUid });
        } catch (error) {
          expect(toStainError(error).code).toBe('REQUEST_INVALID');
        }
        expect(path !== undefined).toBe([studyUid, seriesUid, sopUid].every((uid) => isUid(uid)));
        if (path) expect(path.join('/')).toMatch(/^studies\/[\d.]+\/series\/[\d.]+\/instances\/[\d.]+$/);
      }),
      { numRuns: runs(5_000) },
    );
  });
});

describe.skipIf(orthancMissing)(`Orthanc${orthancMissing ? ` (skipped: ${orthancMissing})` : ''}`, () => {
  let orthanc: RunningOrthanc;
  beforeAll(async () => {
    orthanc = await startOrthanc();
  });
  afterAll(() => orthanc?.[Symbol.asyncDispose]());

  it('that was given an instance with a path as its UID still answers searches with the others', async () => {
    const honest = storableSlide('honest');
    const poisoned = storableSlide('poisoned', {
      overrides: { SeriesInstanceUID: Buffer.from('../../system') },
    });
    for (const { bytes } of [honest, poisoned]) {
      const stored = await fetch(new URL('/instances', orthanc.url), { method: 'POST', body: bytes });
      expect(stored.status).toBe(200);
    }
    const client = createDicomWebClient({ url: orthanc.url });
    try {
      const told: number[] = [];
      const found = await client.searchSeries({ Modality: 'SM' }, signal, {
        onLeftOut: (count) => void told.push(count),
      });
      expect(found.map((one) => textOf(one, TAGS.series))).toEqual([honest.seriesUid]);
      expect(told).toEqual([1]);
    } finally {
      await client.close();
    }
  });
});
