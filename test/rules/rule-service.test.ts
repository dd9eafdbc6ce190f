/** Rules over an archive that the test fills: what is taken up, when, and how often. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BatchSeries, RuleList } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { scannerKey } from '../../server/src/acceptance/scanner.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { tagOf } from '../../server/src/dicom/dictionary.ts';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import { BatchService, type BatchServiceOptions } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { AllRules } from '../../server/src/rules/all-rules.ts';
import type { Rule } from '../../server/src/rules/rule.ts';
import { RuleService, type RuleServiceOptions } from '../../server/src/rules/rule-service.ts';
import { daysBefore, dicomDate } from '../../server/src/rules/survey.ts';
import { create, FINGERPRINT, openJobs, request, SteeredWork } from '../jobs/support.ts';

/** Of today, because jobs and batches go by the real clock. */
const today = (time: string): Date => new Date(`${new Date().toISOString().slice(0, 10)}T${time}:00Z`);
const NOW = today('12:00');
const daysAgo = (days: number): string => daysBefore(dicomDate(NOW), days);

/** Of a series as `put` makes it. */
const SCANNER = {
  manufacturer: 'Maker',
  model: 'Alpha',
  serialNumber: '1',
  station: null,
  softwareVersions: [],
};

const poll = <T>(read: () => T) => expect.poll(read, { timeout: 30_000, interval: 20 });

/** What the archive holds: series by UID. */
let archive: Map<string, { json: DicomJson; header: DataSet }>;
let searches: Record<string, unknown>[];
let headersRead: number;
let fault: StainError | undefined;
let now: Date;

let work: SteeredWork;
let jobs: JobService;
let batches: BatchService;
const services: RuleService[] = [];
const seen: Record<string, number> = {};

const element = (vr: string, ...Value: (string | number)[]) => ({ vr, Value });

/** Puts a series into the archive, or changes it. */
function put(
  uid: string,
  {
    study = '1.2',
    station = 'SCANNER1',
    date = daysAgo(0),
    instances = 4,
    maker = 'Maker',
    serial = '1',
  } = {},
): void {
  const json = {
    [tagOf('StudyInstanceUID')]: element('UI', study),
    [tagOf('SeriesInstanceUID')]: element('UI', uid),
    [tagOf('StudyDate')]: element('DA', date),
    [tagOf('StationName')]: element('SH', station),
    [tagOf('Manufacturer')]: element('LO', maker),
    [tagOf('ManufacturerModelName')]: element('LO', 'stain-normalization'),
    [tagOf('NumberOfSeriesRelatedInstances')]: element('IS', instances),
  };
  const device = { Manufacturer: 'Maker', ManufacturerModelName: 'Alpha', DeviceSerialNumber: serial };
  archive.set(study === '1.2' ? uid : `${study} ${uid}`, {
    json,
    header: DataSet.of({ BodyPartExamined: 'SKIN', ...device }),
  });
}

const client: RuleServiceOptions['client'] = {
  async searchSeries({ includefield: _, ...parameters }) {
    searches.push(parameters);
    if (fault) throw fault;
    const { StudyDate, SeriesInstanceUID } = parameters;
    const [from, to] = StudyDate === undefined ? [] : String(StudyDate).split('-');
    return [...archive.values()]
      .map(({ json }) => json)
      .filter((json) => {
        const date = String((json[tagOf('StudyDate')]!.Value as string[])[0]);
        const uid = (json[tagOf('SeriesInstanceUID')]!.Value as string[])[0];
        return (
          (!from || date >= from) && (!to || date <= to) && (!SeriesInstanceUID || uid === SeriesInstanceUID)
        );
      });
  },
  async searchInstances({ SeriesInstanceUID }) {
    return archive.has(String(SeriesInstanceUID))
      ? [{ [tagOf('SOPInstanceUID')]: element('UI', `${SeriesInstanceUID}.1`) }]
      : [];
  },
  async retrieveHeader(_study, series) {
    headersRead++;
    return { dataSet: archive.get(series)!.header, bytes: 1, transferSyntaxUid: '1.2', sha256: '' };
  },
};

function rule(changes: Partial<Rule> = {}): Rule {
  return {
    name: 'one',
    enabled: true,
    match: [{ keyword: 'StationName', tag: tagOf('StationName'), values: ['SCANNER1'] }],
    template: 'one',
    model: 'fast',
    transfer: 'linear',
    outcome: 'store',
    priority: 'normal',
    hours: undefined,
    ...changes,
  };
}

const skin = { keyword: 'BodyPartExamined', tag: tagOf('BodyPartExamined'), values: ['SKIN'] };

async function openRules(
  rules: readonly Rule[],
  options: Partial<RuleServiceOptions> = {},
): Promise<RuleService> {
  const service = new RuleService({
    rules,
    settings: { pollSeconds: 0.02, lookBackDays: 7, reachDays: 100 },
    output: { encoding: 'jpeg', quality: 90 },
    database: jobs.database,
    client,
    requireMeans: async () => ({ templateSha256: 'template', modelSha256: 'model' }),
    now: () => now,
    onSeen: (name, count) => {
      seen[name] = (seen[name] ?? 0) + count;
    },
    onFault: (error) => {
      throw error;
    },
    ...options,
  });
  services.push(service);
  return service;
}

/** With what was there before: it is not new. */
async function openSurveyed(
  rules: readonly Rule[],
  options: Partial<RuleServiceOptions> = {},
): Promise<RuleService> {
  const service = await openRules(rules, options);
  await poll(async () => (await service.report()).search.isSurveyed).toBe(true);
  return service;
}

async function openBatches(options: Partial<BatchServiceOptions> = {}): Promise<void> {
  await batches?.close();
  batches = new BatchService({ jobs, pollMs: 20, retrySeconds: 0.05, onFault: () => {}, ...options });
}

/** Two whole searches after now. */
async function searched(service: RuleService): Promise<void> {
  for (let i = 0; i < 2; i++) {
    const { sweptAt } = (await service.report()).search;
    await poll(async () => (await service.report()).search.sweptAt).not.toBe(sweptAt);
  }
}

async function taken(service: RuleService, name = 'one'): Promise<BatchSeries[]> {
  return (await service.series(name, { state: undefined, after: 0, limit: 1000 })).series;
}

async function untilTaken(service: RuleService, count: number, name = 'one'): Promise<BatchSeries[]> {
  await poll(async () => (await taken(service, name)).length).toBe(count);
  return taken(service, name);
}

const untilState = (service: RuleService, states: Record<string, number>, name = 'one') =>
  poll(async () => (await service.report()).rules.find((one) => one.name === name)!.counts).toEqual(states);

beforeEach(async () => {
  archive = new Map();
  searches = [];
  headersRead = 0;
  fault = undefined;
  now = NOW;
  for (const name of Object.keys(seen)) delete seen[name];
  work = new SteeredWork();
  jobs = await openJobs({
    run: work.run,
    limits: { jobTimeoutMinutes: 10, maxQueuedJobs: 1000, jobsPerUser: 1000 },
    fingerprint: async ({ seriesInstanceUid, slide }) => ({
      ...FINGERPRINT,
      sourceSha256: `${seriesInstanceUid} ${archive.get(seriesInstanceUid)?.json[tagOf('NumberOfSeriesRelatedInstances')]?.Value}`,
      slideUid: slide,
      lacksBase: seriesInstanceUid.startsWith('8.'),
      isResult: seriesInstanceUid.startsWith('9.'),
    }),
  });
  await openBatches();
});
afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
  await batches.close();
  await jobs.close();
});

describe('a new series', () => {
  it('that matches gets one job, however often it is seen; others get none', async () => {
    const service = await openSurveyed([rule()]);
    put('1.1');
    put('1.2', { station: 'SCANNER2' });
    const [line] = await untilTaken(service, 1);
    await searched(service);
    expect(await taken(service)).toHaveLength(1);
    expect(line).toMatchObject({ seriesInstanceUid: '1.1', slide: null });
    await untilState(service, { 'IN PROGRESS': 1 });
    const { jobs: all } = await jobs.list({ limit: 10 });
    expect(all).toMatchObject([{ requestedBy: 'rule:one', priority: 'batch', request: { template: 'one' } }]);
    expect(seen).toEqual({ one: 1 });
    work.calls[0]!.succeed();
    await untilState(service, { COMPLETED: 1 });
  });

  it('is one that comes after the rule; what was there before is not', async () => {
    put('1.1');
    put('1.2', { date: daysAgo(86) });
    const service = await openSurveyed([rule()]);
    put('1.3');
    // Scanned today, for a study that was begun in September.
    put('1.4', { date: daysAgo(86) });
    const lines = await untilTaken(service, 2);
    expect(lines.map(({ seriesInstanceUid }) => seriesInstanceUid).sort()).toEqual(['1.3', '1.4']);
    const later = await openSurveyed([rule({ name: 'two' })]);
    put('1.5');
    expect(await untilTaken(later, 1, 'two')).toMatchObject([{ seriesInstanceUid: '1.5' }]);
  });

  it('is one whose Series UID an older series of another study has', async () => {
    put('1.1');
    const service = await openSurveyed([rule()]);
    put('1.1', { study: '1.3' });
    expect(await untilTaken(service, 1)).toMatchObject([
      { studyInstanceUid: '1.3', seriesInstanceUid: '1.1' },
    ]);
  });

  it('or one since the date that the rule names', async () => {
    put('1.1');
    put('1.2', { date: daysAgo(26) });
    const service = await openRules([rule({ since: daysAgo(25).replace(/(....)(..)/, '$1-$2-') })]);
    expect(await untilTaken(service, 1)).toMatchObject([{ seriesInstanceUid: '1.1' }]);
  });

  it('a longer reach makes nothing new', async () => {
    put('1.1', { date: '20250101' });
    await (await openSurveyed([rule()])).close();
    const settings = { pollSeconds: 0.02, lookBackDays: 7, reachDays: 1000 };
    const service = await openRules([rule()], { settings });
    await searched(service);
    put('1.2', { date: '20250101' });
    expect(await untilTaken(service, 1)).toMatchObject([{ seriesInstanceUid: '1.2' }]);
  });

  it('by two rules gets two series; by two rules that ask for the same, one job', async () => {
    const service = await openSurveyed([
      rule(),
      rule({ name: 'same' }),
      rule({ name: 'other', template: 'two' }),
    ]);
    put('1.1');
    const jobsOf = async (name: string) => (await taken(service, name))[0]?.job;
    for (const name of ['one', 'same', 'other']) await poll(() => jobsOf(name)).toEqual(expect.any(String));
    expect(await jobsOf('same')).toBe(await jobsOf('one'));
    expect(await jobsOf('other')).not.toBe(await jobsOf('one'));
  });

  it('made by this product is left alone, by its search result or by its header', async () => {
    const service = await openSurveyed([rule({ match: [] })]);
    put('1.1', { maker: 'Stain normalization for OHIF and DICOMweb' });
    put('9.1');
    await untilState(service, { SKIPPED: 1 });
    await searched(service);
    expect(await taken(service)).toMatchObject([{ seriesInstanceUid: '9.1', code: 'ALREADY_NORMALIZED' }]);
  });

  it('is compared by its header where the search is silent, which is read once', async () => {
    const service = await openSurveyed([rule({ match: [skin] }), rule({ name: 'two', match: [skin] })]);
    put('1.1');
    archive.set('1.2', { json: archive.get('1.1')!.json, header: DataSet.of({}) });
    put('1.2', {});
    archive.get('1.2')!.header = DataSet.of({ BodyPartExamined: 'LUNG' });
    await untilTaken(service, 1);
    await searched(service);
    expect(await taken(service, 'two')).toMatchObject([{ seriesInstanceUid: '1.1' }]);
    expect(headersRead).toBe(2);
  });
});

describe('a slide that is still arriving', () => {
  it('waits until it has been unchanged for a while', async () => {
    await openBatches({ stableSeconds: 0.2 });
    const service = await openSurveyed([rule()]);
    put('1.1', { instances: 1 });
    await untilTaken(service, 1);
    await poll(async () => (await taken(service))[0]!.state).toBe('WAITING');
    put('1.1', { instances: 4 });
    await untilState(service, { 'IN PROGRESS': 1 });
    expect(work.calls.at(-1)!.request.sourceSha256).toBe('1.1 4');
  });

  it('is made again when instances come after its job', async () => {
    const service = await openSurveyed([rule()]);
    put('1.1', { instances: 1 });
    await untilState(service, { 'IN PROGRESS': 1 });
    work.calls[0]!.succeed();
    await untilState(service, { COMPLETED: 1 });
    put('1.1', { instances: 4 });
    await poll(() => work.calls.length).toBe(2);
    expect(work.calls[1]!.request.sourceSha256).toBe('1.1 4');
    work.calls[1]!.succeed();
    await untilState(service, { COMPLETED: 1 });
    await searched(service);
    expect(work.calls).toHaveLength(2);
  });

  it('and one that changed under its job gets another', async () => {
    const service = await openSurveyed([rule()]);
    put('1.1');
    await untilState(service, { 'IN PROGRESS': 1 });
    work.calls[0]!.fail(new StainError('SOURCE_CHANGED', 'Other instances.'));
    await poll(() => work.calls.length).toBe(2);
    work.calls[1]!.succeed();
    await untilState(service, { COMPLETED: 1 });
  });

  it('waits for its base level', async () => {
    const service = await openSurveyed([rule()]);
    put('8.1');
    await poll(async () => (await taken(service))[0]?.code).toBeNull();
    expect((await taken(service))[0]).toMatchObject({ state: 'WAITING', job: null });
    expect(work.calls).toHaveLength(0);
  });
});

describe('a rule that only fits', () => {
  it('makes no job', async () => {
    const fitted: unknown[] = [];
    await openBatches({
      fit: async ({ seriesInstanceUid, template }) => void fitted.push([seriesInstanceUid, template]),
    });
    const service = await openSurveyed([rule({ outcome: 'fit' })]);
    put('1.1');
    await untilState(service, { FITTED: 1 });
    await searched(service);
    expect(fitted).toEqual([['1.1', 'one']]);
    expect((await jobs.list({ limit: 10 })).jobs).toEqual([]);
  });

  it('parks a slide with its reason, until somebody wants it tried again', async () => {
    let isGood = false;
    await openBatches({
      fit: async () => {
        if (!isGood) throw new StainError('STAIN_NOT_HE', 'It is blue.');
      },
    });
    const service = await openSurveyed([rule({ outcome: 'fit' })]);
    put('1.1');
    await untilState(service, { REFUSED: 1 });
    await searched(service);
    expect(await taken(service)).toMatchObject([
      { state: 'REFUSED', code: 'STAIN_NOT_HE', message: 'It is blue.' },
    ]);
    isGood = true;
    expect(await service.retry('one')).toBe(1);
    await untilState(service, { FITTED: 1 });
    expect(await service.retry('one')).toBe(0);
  });
});

describe('whatever happens', () => {
  it('a service that starts anew goes on where the last one stopped', async () => {
    const first = await openSurveyed([rule()]);
    put('1.1');
    await untilTaken(first, 1);
    await first.close();
    put('1.2');
    const second = await openRules([rule()]);
    await untilTaken(second, 2);
    await untilState(second, { 'IN PROGRESS': 1, SCHEDULED: 1 });
    expect(seen).toEqual({ one: 2 });
  });

  it('an archive that is away is reported, and nothing is missed', async () => {
    const service = await openSurveyed([rule()]);
    fault = new StainError('ARCHIVE_UNREACHABLE', 'Gone.');
    await poll(async () => (await service.report()).search.code).toBe('ARCHIVE_UNREACHABLE');
    put('1.1');
    fault = undefined;
    await untilTaken(service, 1);
    await poll(async () => (await service.report()).search.code).toBeNull();
  });

  it('an archive that is away at the first start makes nothing new', async () => {
    put('1.1');
    fault = new StainError('ARCHIVE_UNREACHABLE', 'Gone.');
    const service = await openRules([rule()]);
    await poll(async () => (await service.report()).search.code).toBe('ARCHIVE_UNREACHABLE');
    expect((await service.report()).search.isSurveyed).toBe(false);
    fault = undefined;
    await poll(async () => (await service.report()).search.isSurveyed).toBe(true);
    await searched(service);
    expect(await taken(service)).toEqual([]);
  });

  it('a rule that cannot be followed keeps its series, and stops no other', async () => {
    let isThere = false;
    const service = await openSurveyed([rule({ name: 'lost', template: 'gone' }), rule()], {
      requireMeans: async ({ template }) => {
        if (template === 'gone' && !isThere)
          throw new StainError('TEMPLATE_NOT_FOUND', 'No template "gone".');
        return { templateSha256: 'template', modelSha256: 'model' };
      },
    });
    put('1.1');
    await untilState(service, { 'IN PROGRESS': 1 });
    await untilState(service, { WAITING: 1 }, 'lost');
    expect((await service.report()).rules[0]).toMatchObject({ state: 'FAULTY', code: 'TEMPLATE_NOT_FOUND' });
    isThere = true;
    await untilState(service, { SCHEDULED: 1 }, 'lost');
  });

  it('without an acceptance of its scanner, a slide waits; the others go on', async () => {
    const accepted = new Set<string>();
    const acceptances = {
      read: async () => ({ decisions: [], invalid: [], scannersFor: () => new Set(accepted) }),
    };
    const reason = 'validation study 12';
    const service = await openSurveyed([rule(), rule({ name: 'study', withoutAcceptance: reason })], {
      acceptances,
    });
    put('1.1');
    // The other rule has its reason.
    await untilState(service, { 'IN PROGRESS': 1 }, 'study');
    await untilState(service, { WAITING: 1 });
    const [line] = await taken(service);
    expect(line).toMatchObject({
      state: 'WAITING',
      code: 'SCANNER_NOT_ACCEPTED',
      job: null,
      nextTryAt: null,
    });
    expect(line!.message).toContain('Maker Alpha, serial number 1');
    await searched(service);
    const [held, study] = (await service.report()).rules;
    expect(held).toMatchObject({
      lagSeconds: 0,
      withoutAcceptance: null,
      notAccepted: [{ scanner: expect.stringContaining('Alpha'), series: 1 }],
    });
    expect(study).toMatchObject({ withoutAcceptance: reason, notAccepted: [] });
    // Of another scanner, which is accepted.
    accepted.add(scannerKey({ ...SCANNER, serialNumber: '2' }));
    put('1.2', { serial: '2' });
    await poll(async () => (await taken(service)).map(({ code }) => code)).toEqual([
      'SCANNER_NOT_ACCEPTED',
      null,
    ]);
    accepted.add(scannerKey(SCANNER));
    await poll(async () =>
      (await taken(service)).every(({ code, job }) => code === null && job !== null),
    ).toBe(true);
    expect((await service.report()).rules[0]).toMatchObject({ notAccepted: [] });
  });

  it('a slide in line is held back when its template is replaced, which nobody accepted, and goes on after it', async () => {
    const accepted = new Set([scannerKey(SCANNER)]);
    const acceptances = {
      read: async () => ({ decisions: [], invalid: [], scannersFor: () => new Set(accepted) }),
    };
    // Closed now.
    const hours = { from: '20:00', to: '06:00', timeZone: 'UTC' };
    const service = await openSurveyed([rule({ hours })], { acceptances });
    put('1.1');
    await untilTaken(service, 1);
    expect((await taken(service))[0]).toMatchObject({ state: 'WAITING', code: null });
    accepted.clear();
    await poll(async () => (await taken(service))[0]?.code).toBe('SCANNER_NOT_ACCEPTED');
    now = today('23:00');
    await searched(service);
    expect((await taken(service))[0]).toMatchObject({ code: 'SCANNER_NOT_ACCEPTED', job: null });
    accepted.add(scannerKey(SCANNER));
    await untilState(service, { 'IN PROGRESS': 1 });
  });

  it('a slide that was held back goes on when acceptances are no longer asked for', async () => {
    const none = { read: async () => ({ decisions: [], invalid: [], scannersFor: () => new Set<string>() }) };
    const asking = await openSurveyed([rule()], { acceptances: none });
    put('1.1');
    await untilState(asking, { WAITING: 1 });
    await searched(asking);
    await asking.close();
    const service = await openRules([rule()]);
    await untilState(service, { 'IN PROGRESS': 1 });
  });

  it('two services share the search, and take up each series once', async () => {
    const [one, two] = [await openSurveyed([rule()]), await openRules([rule()])];
    for (let i = 0; i < 20; i++) put(`1.${i}`);
    await untilTaken(one, 20);
    await searched(two);
    expect(await taken(two)).toHaveLength(20);
    expect(seen).toEqual({ one: 20 });
  });

  it('a rule that is taken out of the file is followed no longer', async () => {
    const hours = { from: '20:00', to: '06:00', timeZone: 'UTC' };
    const first = await openSurveyed([rule({ hours })]);
    put('1.1');
    await untilTaken(first, 1);
    await first.close();
    now = today('23:00');
    const second = await openRules([rule({ name: 'another' })]);
    await searched(second);
    expect((await jobs.list({ limit: 10 })).jobs).toEqual([]);
    await second.close();
    const third = await openRules([rule({ hours })]);
    await untilState(third, { 'IN PROGRESS': 1 });
  });
});

describe('hours and priority', () => {
  it('outside its hours a rule sees, and waits', async () => {
    const hours = { from: '20:00', to: '06:00', timeZone: 'UTC' };
    const service = await openSurveyed([rule({ hours })]);
    put('1.1');
    await untilTaken(service, 1);
    await searched(service);
    expect((await service.report()).rules[0]).toMatchObject({
      state: 'OUT OF HOURS',
      counts: { WAITING: 1 },
    });
    expect((await service.report()).rules[0]!.lagSeconds).toBeGreaterThan(0);
    now = today('20:00');
    await untilState(service, { 'IN PROGRESS': 1 });
  });

  it('a rule that is switched off waits too', async () => {
    const service = await openSurveyed([rule({ enabled: false })]);
    put('1.1');
    await searched(service);
    expect((await service.report()).rules[0]).toMatchObject({ state: 'DISABLED', counts: {} });
    await service.close();
    // What came meanwhile is new to it.
    await untilTaken(await openRules([rule()]), 1);
  });

  it('people come first, then rules by their priority; series wait as lines, not as jobs', async () => {
    const rules = [rule({ name: 'low', priority: 'low' }), rule({ name: 'high', priority: 'high' })];
    await batches.close();
    const service = await openSurveyed(rules.map((one) => ({ ...one, match: [] })));
    for (let i = 0; i < 20; i++) put(`1.${i}`);
    await untilTaken(service, 20, 'low');
    await untilTaken(service, 20, 'high');
    await openBatches();
    await poll(async () => (await jobs.statistics()).byState.SCHEDULED).toBe(8);
    const all = (await jobs.list({ limit: 100 })).jobs;
    expect(new Set(all.map(({ requestedBy }) => requestedBy))).toEqual(new Set(['rule:high']));
    const { job } = await create(jobs, request(), { requestedBy: 'ann' });
    work.calls[0]!.succeed();
    await poll(() => work.calls[1]?.job).toBe(job.id);
  });
});

describe('rules for several archives', () => {
  it('search each of them for itself, though it holds the same series', async () => {
    put('5.1');
    const inVendor: DicomJson[] = [];
    const allNames = ['one', 'two'];
    const main = await openSurveyed([rule()], { allNames });
    const vendor = await openSurveyed(
      [rule({ name: 'two', source: 'vendor', destination: 'research', priority: 'low' })],
      { allNames, archive: 'vendor', client: { ...client, searchSeries: async () => inVendor } },
    );
    const all = new AllRules([main, vendor], allNames);
    await searched(main);
    inVendor.push(archive.get('5.1')!.json);
    const [line] = await untilTaken(vendor, 1, 'two');
    expect(line).toMatchObject({ seriesInstanceUid: '5.1' });
    await poll(async () => (await taken(vendor, 'two'))[0]!.job).not.toBeNull();
    const job = await jobs.get((await taken(vendor, 'two'))[0]!.job!);
    expect(job.request).toMatchObject({
      source: 'vendor',
      destination: 'research',
      seriesInstanceUid: '5.1',
    });
    // It was in this archive before its rule.
    await searched(main);
    expect(await taken(main)).toEqual([]);
    const { rules, search } = await all.report();
    expect(rules.map(({ name, state, source }) => [name, state, source])).toEqual([
      ['one', 'OPEN', undefined],
      ['two', 'OPEN', 'vendor'],
    ]);
    expect(search).toMatchObject({ isSurveyed: true, code: null });
    expect((await all.series('two', { state: undefined, after: 0, limit: 1 })).series).toHaveLength(1);
    await expect(all.retry('three')).rejects.toMatchObject({ code: 'RULE_NOT_FOUND' });
  });

  it('report the archive that cannot be searched', async () => {
    const broken = async () => {
      throw new StainError('ARCHIVE_UNREACHABLE', 'It is away.');
    };
    const allNames = ['one', 'two'];
    const main = await openSurveyed([rule()], { allNames });
    const vendor = await openRules([rule({ name: 'two', source: 'vendor' })], {
      allNames,
      archive: 'vendor',
      client: { ...client, searchSeries: broken },
    });
    const all = new AllRules([main, vendor], allNames);
    const of = async (service: { report(): Promise<RuleList> }) => (await service.report()).search;
    await poll(async () => (await of(all)).code).toBe('ARCHIVE_UNREACHABLE');
    expect(await of(all)).toMatchObject({ isSurveyed: false, sweptAt: null });
    expect(await of(main)).toMatchObject({ isSurveyed: true, code: null });
  });
});

it('of the series that Orthanc lists, one that the archive refuses stops no other', async () => {
  const refused = new StainError('ARCHIVE_REFUSED', 'not for you');
  const listed = ['1.0', '1.1', '1.2'];
  const service = await openSurveyed([rule()], {
    orthanc: {
      newest: async () => 1,
      since: async (after: number) =>
        archive.has('1.2') && after === 1 ? { series: listed, last: 2 } : { series: [], last: after },
      close: async () => {},
    } as unknown as NonNullable<RuleServiceOptions['orthanc']>,
    client: {
      ...client,
      async searchSeries(parameters, ...more) {
        if (['1.0', '1.1'].includes(String(parameters['SeriesInstanceUID']))) throw refused;
        // Too old for the search by dates.
        return parameters['SeriesInstanceUID'] === undefined ? [] : client.searchSeries(parameters, ...more);
      },
    },
  });
  put('1.2', { date: '19990101' });
  await untilTaken(service, 1);
});

describe('an announcement', () => {
  it('is looked at at once, whatever the date of the study', async () => {
    const settings = { pollSeconds: 3600, lookBackDays: 7, reachDays: 100 };
    const service = await openSurveyed([rule()], { settings });
    await poll(async () => (await service.report()).search.sweptAt).not.toBeNull();
    put('1.1', { date: '19990101' });
    await service.announce([{ studyInstanceUid: '1.2', seriesInstanceUid: '1.1' }]);
    await untilTaken(service, 1);
  });

  it('that is faster than the archive is kept', async () => {
    const service = await openSurveyed([rule()]);
    await service.announce([{ studyInstanceUid: '1.2', seriesInstanceUid: '1.1' }]);
    await searched(service);
    put('1.1', { date: '19990101' });
    await untilTaken(service, 1);
    await searched(service);
    searches = [];
    await searched(service);
    expect(searches.filter(({ SeriesInstanceUID }) => SeriesInstanceUID !== undefined)).toEqual([]);
  });

  it('has its turn behind any number for which there is no slide, and those that the archive refuses', async () => {
    const settings = { pollSeconds: 0.05, lookBackDays: 7, reachDays: 100 };
    const refused = new StainError('ARCHIVE_REFUSED', 'not for you');
    const service = await openSurveyed([rule()], {
      settings,
      client: {
        ...client,
        async searchSeries(parameters, ...more) {
          if (parameters['SeriesInstanceUID'] === '1.0') throw refused;
          return client.searchSeries(parameters, ...more);
        },
      },
    });
    const nothing = Array.from({ length: 250 }, (_, i) => `1.${i}`);
    await service.announce(
      nothing.map((seriesInstanceUid) => ({ studyInstanceUid: '1.2', seriesInstanceUid })),
    );
    put('9.9', { date: '19990101' });
    await service.announce([{ studyInstanceUid: '1.2', seriesInstanceUid: '9.9' }]);
    await untilTaken(service, 1);
  });

  it('without rules is refused', async () => {
    const service = await openRules([]);
    await expect(service.announce([{ studyInstanceUid: '1.2' }])).rejects.toMatchObject({
      code: 'RULE_NOT_FOUND',
    });
    expect(searches).toEqual([]);
  });
});
