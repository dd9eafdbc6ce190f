/** The plugin at work: what it shows of slide, service and jobs, and what it does on request. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ArchiveNames } from '../../core/src/contract/archive.ts';
import type { ColourReading } from '../../core/src/stain/colour-reading.ts';
import { Comparison } from '../../extension/src/comparison/comparison.ts';
import { PluginError, ServiceError } from '../../extension/src/plugin-error.ts';
import type { LivePreview, PreviewFactory, PreviewOptions } from '../../extension/src/preview-factory.ts';
import type { ServiceClient } from '../../extension/src/service/service-client.ts';
import { Session } from '../../extension/src/session.ts';
import type { Measured, Measurement } from '../../extension/src/state.ts';
import { DERIVED, derivedSlide, type FakeOhif, fakeOhif, SOURCE, STUDY, slide } from './fake-ohif.ts';

const READING = { pixels: 1 } as unknown as ColourReading;
vi.mock('../../extension/src/measure/colour-measurement.ts', () => ({
  measureColours: async (of: Measured, _panes: unknown, onChange: (measurement: Measurement) => void) =>
    onChange({ of, isChoosing: false, against: READING, normalized: READING }),
}));

const OTHER = '1.2.3';
const template = (id: string, usable = true) => ({ id, name: `Template ${id}`, usable, glassDensity: 0.02 });
const refusal = (code: string) =>
  new ServiceError(409, { code, message: `${code} in words`, remedy: 'Do another thing.' });
const job = (state: string) => ({ id: 'job', state, revision: '1', request: { template: 'one' } });

/** A service with two templates and no jobs; event streams stay silent. */
function service() {
  const client = {
    health: vi.fn(async () => ({ version: '1.2.3' })),
    templates: vi.fn(async () => [template('old', false), template('one'), template('two')]),
    stain: vi.fn(async ({ seriesInstanceUid }: { seriesInstanceUid: string }) => ({ seriesInstanceUid })),
    jobsOf: vi.fn(async (): Promise<unknown[]> => []),
    normalize: vi.fn(async (_body: object): Promise<unknown> => job('SCHEDULED')),
    cancel: vi.fn(async (_id: string): Promise<unknown> => job('CANCELED')),
    template: vi.fn(async (id: string) => ({ ...template(id), unfinishedJobs: 2 })),
    removeTemplate: vi.fn(async (_id: string) => {}),
    createTemplate: vi.fn(async (_body: object) => template('two')),
    request: vi.fn(
      (_path: string, { signal }: { signal: AbortSignal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    ),
  };
  return client;
}

let ohif: FakeOhif;
let client: ReturnType<typeof service>;
let started: {
  readonly options: PreviewOptions;
  readonly live: Record<keyof LivePreview, ReturnType<typeof vi.fn>>;
}[];
let previews: Record<'start' | 'mapSlide' | 'close', ReturnType<typeof vi.fn>>;
let session: Session;

beforeEach(() => {
  vi.stubGlobal('location', { search: '', hash: '' });
  vi.stubGlobal('history', { replaceState() {} });
  vi.stubGlobal('document', { querySelector: () => null });
  vi.stubGlobal('CSS', { escape: String });
  ohif = fakeOhif(slide(SOURCE), slide(OTHER), derivedSlide(DERIVED));
  client = service();
  started = [];
  previews = {
    start: vi.fn(async (options: PreviewOptions): Promise<LivePreview> => {
      const live = { setVisible: vi.fn(), close: vi.fn() };
      started.push({ options, live });
      return live;
    }),
    mapSlide: vi.fn(async () => ({ client: {} })),
    close: vi.fn(),
  };
  session = new Session({
    host: ohif.host,
    client: client as unknown as ServiceClient,
    previews: previews as unknown as PreviewFactory,
  });
});
afterEach(() => {
  session.leave();
  vi.unstubAllGlobals();
});

/** In the mode, with a slide shown, once everything about it is known. */
async function entered(seriesInstanceUid = SOURCE): Promise<void> {
  ohif.show(seriesInstanceUid);
  session.enter();
  await vi.waitFor(() => {
    expect(session.state.templates.state).toBe('ready');
    expect(session.state.stain.state).toBe('ready');
  });
}

/** One that is drawn over the slide. */
async function previewing(): Promise<(typeof started)[number]> {
  const before = started.length;
  session.preview();
  await vi.waitFor(() => expect(started).toHaveLength(before + 1));
  return started.at(-1)!;
}

describe('a mode that is entered', () => {
  test('knows the slide, its stain, the service and the first template that can be used', async () => {
    await entered();
    expect(session.state).toMatchObject({
      series: { seriesInstanceUid: SOURCE },
      source: { seriesInstanceUid: SOURCE },
      results: [{ seriesInstanceUid: DERIVED }],
      service: { state: 'ready', value: { version: '1.2.3' } },
      stain: { state: 'ready', value: { seriesInstanceUid: SOURCE } },
      template: 'one',
      error: null,
    });
  });

  test('shows the source of a derived slide', async () => {
    await entered(DERIVED);
    expect(session.state).toMatchObject({
      series: { seriesInstanceUid: DERIVED },
      source: { seriesInstanceUid: SOURCE },
    });
    expect(client.stain.mock.calls[0]![0]).toMatchObject({ seriesInstanceUid: SOURCE });
  });

  test('says that the service is unreachable, and queries it again on request', async () => {
    client.health.mockRejectedValueOnce(new PluginError('SERVICE_AWAY'));
    client.templates.mockRejectedValueOnce(new PluginError('SERVICE_AWAY'));
    ohif.show(SOURCE);
    session.enter();
    const away = { state: 'failed', error: { code: 'SERVICE_AWAY' } };
    await vi.waitFor(() => expect(session.state).toMatchObject({ service: away, templates: away }));
    session.retry();
    await vi.waitFor(() => {
      expect(session.state).toMatchObject({ service: { state: 'ready' }, template: 'one' });
    });
  });

  test('leaves out results that were rejected', async () => {
    client.jobsOf.mockResolvedValue([
      { ...job('COMPLETED'), rejected: 'quality', result: { seriesInstanceUid: DERIVED } },
    ]);
    await entered();
    await vi.waitFor(() => expect(session.state.results).toEqual([]));
    expect(session.state.job).toBeNull();
    // The viewer tells of the series once more.
    ohif.show(DERIVED);
    expect(session.state).toMatchObject({ series: { seriesInstanceUid: DERIVED }, results: [] });
  });

  test('follows the viewer to another slide', async () => {
    await entered();
    client.jobsOf.mockResolvedValue([job('FAILED')]);
    ohif.show(OTHER);
    await vi.waitFor(() =>
      expect(session.state).toMatchObject({
        source: { seriesInstanceUid: OTHER },
        stain: { state: 'ready', value: { seriesInstanceUid: OTHER } },
        job: { state: 'FAILED' },
        results: [],
      }),
    );
    ohif.show(undefined);
    expect(session.state).toMatchObject({ series: null, source: null, job: null, stain: { state: 'idle' } });
  });

  test('leaves nothing behind but the choices', async () => {
    await entered();
    session.chooseTemplate('two');
    session.chooseTransfer('paper');
    session.chooseOutput({ encoding: 'jpeg', quality: 50 });
    const { live } = await previewing();
    session.leave();
    expect(live.close).toHaveBeenCalledOnce();
    expect(previews.close).toHaveBeenCalledOnce();
    expect(ohif.listeners.size).toBe(0);
    expect(session.state).toMatchObject({
      series: null,
      preview: null,
      template: 'two',
      output: { quality: 50 },
    });
  });

  test('reports no fault that comes after it has ended', async () => {
    await entered();
    const answer = Promise.withResolvers<never>();
    client.normalize.mockReturnValueOnce(answer.promise);
    session.normalize();
    session.leave();
    answer.reject(refusal('TOO_LATE'));
    await expect(answer.promise).rejects.toThrow();
    expect(session.state.error).toBeNull();
  });
});

describe('a preview that is drawn over the slide', () => {
  beforeEach(async () => {
    await entered();
    session.chooseTransfer('paper');
  });

  test('uses the slide and the choices, and shows its progress', async () => {
    session.chooseTemplate('two');
    const { options } = await previewing();
    expect(options).toMatchObject({
      series: { seriesInstanceUid: SOURCE },
      template: { id: 'two' },
    });
    expect(await options.stain()).toMatchObject({ seriesInstanceUid: SOURCE });
    expect(session.state.preview).toMatchObject({ state: 'starting', templateName: 'Template two' });
    options.onStatus({ state: 'on', tilesDone: 1, tilesTotal: 4 });
    expect(session.state.preview).toMatchObject({ state: 'on', tilesDone: 1, tilesTotal: 4 });
  });

  test('starts again with another choice, and the one before reports nothing more', async () => {
    const first = await previewing();
    session.chooseTemplate('two');
    await vi.waitFor(() => expect(started).toHaveLength(2));
    expect(first.live.close).toHaveBeenCalledOnce();
    expect(first.options.signal.aborted).toBe(true);
    first.options.onStatus({ tilesDone: 99 });
    first.options.onError(new Error('late'));
    expect(session.state).toMatchObject({ preview: { template: 'two', tilesDone: 0 }, previewError: null });
  });

  test('gives way to the original for as long as that is wanted', async () => {
    const { live } = await previewing();
    session.lookAtOriginal(true);
    session.lookAtOriginal(true);
    expect(live.setVisible.mock.calls).toEqual([[false]]);
    session.lookAtOriginal(false);
    expect(live.setVisible.mock.calls).toEqual([[false], [true]]);
  });

  test('is not seen where the original is wanted before it is there', async () => {
    const arrived = Promise.withResolvers<LivePreview>();
    previews.start.mockReturnValueOnce(arrived.promise);
    session.preview();
    await vi.waitFor(() => expect(previews.start).toHaveBeenCalledOnce());
    session.lookAtOriginal(true);
    const live = { setVisible: vi.fn(), close: vi.fn() };
    arrived.resolve(live);
    await vi.waitFor(() => expect(live.setVisible.mock.calls).toEqual([[false]]));
  });

  test('goes through the templates that can be used, round and round', () => {
    const seen = [1, 1, -1, -1].map((by) => {
      session.stepTemplate(by as 1 | -1);
      return session.state.template;
    });
    expect(seen).toEqual(['two', 'one', 'two', 'one']);
  });

  test('that is stopped while it is loading ends as soon as it is loaded', async () => {
    const arrived = Promise.withResolvers<LivePreview>();
    previews.start.mockReturnValueOnce(arrived.promise);
    session.preview();
    await vi.waitFor(() => expect(previews.start).toHaveBeenCalledOnce());
    session.stopPreview();
    expect(session.state.preview).toBeNull();
    const live = { setVisible: vi.fn(), close: vi.fn() };
    arrived.resolve(live);
    await vi.waitFor(() => expect(live.close).toHaveBeenCalledOnce());
  });

  test('ends when another slide is shown', async () => {
    const { live } = await previewing();
    ohif.show(OTHER);
    expect(live.close).toHaveBeenCalledOnce();
    expect(session.state.preview).toBeNull();
  });

  test.each([
    ['at once', async () => void previews.start.mockRejectedValueOnce(refusal('NO'))],
    ['later', async () => undefined],
  ])('that fails %s is reported and ends', async (when, prepare) => {
    await prepare();
    if (when === 'later') (await previewing()).options.onError(refusal('NO'));
    else session.preview();
    await vi.waitFor(() => expect(session.state.previewError).toMatchObject({ code: 'NO' }));
    expect(session.state.preview).toBeNull();
    session.dismissError();
    expect(session.state.previewError).toBeNull();
  });
});

describe('a preview in a viewer of its own', () => {
  interface Opened {
    readonly comparison: Record<'whenDrawn' | 'setMode' | 'close', ReturnType<typeof vi.fn>>;
    /** What is in sight is there. */
    draw(): void;
    readonly options: PreviewOptions;
  }
  let opened: Opened[];

  beforeEach(async () => {
    opened = [];
    vi.spyOn(ohif.host, 'microscopyModule').mockResolvedValue({} as never);
    Object.assign(ohif.services.microscopyService!, { getActiveInteractions() {} });
    vi.spyOn(Comparison, 'open').mockImplementation(async ({ viewer, signal }) => {
      const drawn = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => drawn.reject(signal.reason));
      const comparison = { viewer, whenDrawn: vi.fn(() => drawn.promise), setMode: vi.fn(), close: vi.fn() };
      const [options] = previews.mapSlide.mock.calls.at(-1)!;
      opened.push({ comparison, draw: drawn.resolve, options });
      return comparison as unknown as Comparison;
    });
    await entered();
  });
  afterEach(() => void vi.restoreAllMocks());

  async function asked(act: () => void): Promise<Opened> {
    const before = opened.length;
    act();
    await vi.waitFor(() => expect(opened).toHaveLength(before + 1));
    return opened.at(-1)!;
  }

  const isOn = (template: string) =>
    vi.waitFor(() =>
      expect(session.state.preview).toMatchObject({
        state: 'on',
        template,
        isWhole: true,
        isChanging: false,
      }),
    );

  test('is shown when all that is in sight is drawn, and not before', async () => {
    const { comparison, draw } = await asked(() => session.preview());
    expect(session.state.preview).toMatchObject({ state: 'starting', isWhole: false });
    expect(comparison.setMode).not.toHaveBeenCalled();
    draw();
    await isOn('one');
    expect(comparison.setMode.mock.calls).toEqual([['alone']]);
    expect(previews.start).not.toHaveBeenCalled();
  });

  test('stays until the next template is drawn, which is put against the original in the same way', async () => {
    const first = await asked(() => session.preview());
    first.draw();
    await isOn('one');
    session.compare('swipe');
    expect(session.state.preview).toMatchObject({ mode: 'swipe' });
    const second = await asked(() => session.chooseTemplate('two'));
    expect(first.comparison.close).not.toHaveBeenCalled();
    expect(first.options.signal.aborted).toBe(false);
    expect(session.state.preview).toMatchObject({ template: 'one', isChanging: true });
    second.options.onStatus({ statistics: 'visible', tilesDone: 3 });
    expect(session.state.preview).toMatchObject({ statistics: null, tilesDone: 0 });
    second.draw();
    await isOn('two');
    expect(session.state.preview).toMatchObject({ statistics: 'visible', tilesDone: 3 });
    expect(first.comparison.close).toHaveBeenCalledOnce();
    expect(first.options.signal.aborted).toBe(true);
    expect(second.comparison.setMode.mock.calls).toEqual([['swipe']]);
  });

  test('of a template that was passed over is never shown', async () => {
    const first = await asked(() => session.preview());
    first.draw();
    await isOn('one');
    const second = await asked(() => session.chooseTemplate('two'));
    const third = await asked(() => session.chooseTemplate('one'));
    second.draw();
    third.draw();
    await vi.waitFor(() => expect(third.comparison.setMode).toHaveBeenCalledOnce());
    expect(second.comparison.setMode).not.toHaveBeenCalled();
    expect(second.comparison.close).toHaveBeenCalled();
    await isOn('one');
  });

  test.each(['before it is drawn', 'while another is on its way', 'when it is drawn'])(
    'that is stopped %s leaves nothing behind',
    async (when) => {
      const all = [await asked(() => session.preview())];
      if (when !== 'before it is drawn') {
        all[0]!.draw();
        await isOn('one');
      }
      if (when === 'while another is on its way') all.push(await asked(() => session.chooseTemplate('two')));
      session.stopPreview();
      for (const { draw } of all) draw();
      await vi.waitFor(() => {
        for (const { comparison, options } of all) {
          expect(comparison.close).toHaveBeenCalled();
          expect(options.signal.aborted).toBe(true);
        }
      });
      expect(session.state).toMatchObject({ preview: null, previewError: null });
      expect(session.comparison).toBeUndefined();
    },
  );

  test('ends with a frame that cannot be made, and says why', async () => {
    const { comparison, draw, options } = await asked(() => session.preview());
    draw();
    await isOn('one');
    options.onError(new PluginError('PREVIEW_FAILED', { reason: 'no frame' }));
    expect(session.state).toMatchObject({ preview: null, previewError: { reason: 'no frame' } });
    expect(comparison.close).toHaveBeenCalled();
  });

  test('gives way to one that is drawn over the slide', async () => {
    const { comparison, draw } = await asked(() => session.preview());
    draw();
    await isOn('one');
    session.chooseTransfer('paper');
    await vi.waitFor(() => expect(started).toHaveLength(1));
    expect(comparison.close).toHaveBeenCalled();
    expect(session.state.preview).toMatchObject({ mode: null });
  });
});

describe('a job', () => {
  test('is requested with the choices, and followed', async () => {
    await entered();
    session.chooseOutput({ encoding: 'jpeg', quality: 50 });
    session.normalize();
    await vi.waitFor(() => expect(session.state.job).toMatchObject({ id: 'job', state: 'SCHEDULED' }));
    expect(client.normalize.mock.calls[0]![0]).toMatchObject({
      studyInstanceUid: STUDY,
      seriesInstanceUid: SOURCE,
      template: 'one',
      transfer: session.state.transfer,
      encoding: 'jpeg',
      quality: 50,
    });
    expect(client.request.mock.calls.map(([path]) => path)).toEqual(['/api/normalizations/job/events']);
  });

  test.each([
    ['the default archive', undefined, {}],
    ['another', { name: 'research', isReadOnly: false }, { source: 'research', destination: 'research' }],
    ['one that is read-only', { name: 'vendor', isReadOnly: true }, { source: 'vendor' }],
  ])('of a slide in %s names archives', async (_what, archive, names) => {
    ohif.archive = archive;
    await entered();
    expect(client.stain.mock.calls[0]![0]).toMatchObject(
      archive ? { archive } : { seriesInstanceUid: SOURCE },
    );
    session.normalize();
    await vi.waitFor(() => expect(session.state.job).not.toBeNull());
    const { source, destination } = client.normalize.mock.calls[0]![0] as ArchiveNames;
    expect({ source, destination }).toEqual({ source: undefined, destination: undefined, ...names });
  });

  test('whose result is in another archive is told, and nothing is looked for here', async () => {
    ohif.archive = { name: 'vendor', isReadOnly: true };
    const ended = { ...job('COMPLETED'), result: { seriesInstanceUid: DERIVED } };
    client.request.mockResolvedValue(new Response(`event: job\ndata: ${JSON.stringify(ended)}\n\n`) as never);
    await entered();
    session.normalize();
    await vi.waitFor(() => expect(ohif.told).toEqual(['notice success']));
    expect(session.state.error).toBeNull();
  });

  test('cannot be requested for a slide that is already normalised, and neither can a preview', async () => {
    await entered(DERIVED);
    for (const ask of [() => session.normalize(), () => session.preview()]) {
      session.dismissError();
      ask();
      await vi.waitFor(() => expect(session.state.error).toMatchObject({ code: 'ALREADY_NORMALIZED' }));
    }
    expect([client.normalize.mock.calls.length, started.length]).toEqual([0, 0]);
  });

  test('that is refused is reported in the words of the service', async () => {
    await entered();
    client.normalize.mockRejectedValueOnce(refusal('TOO_MANY_JOBS'));
    session.normalize();
    await vi.waitFor(() =>
      expect(session.state.error).toMatchObject({
        message: 'TOO_MANY_JOBS in words',
        remedy: 'Do another thing.',
      }),
    );
    expect(session.state.job).toBeNull();
  });

  test('can be cancelled while it runs, but not when it has ended', async () => {
    client.jobsOf.mockResolvedValue([job('IN PROGRESS')]);
    await entered();
    await vi.waitFor(() => expect(session.state.job).not.toBeNull());
    session.cancel();
    await vi.waitFor(() => expect(session.state.job).toMatchObject({ state: 'CANCELED' }));
    session.cancel();
    expect(client.cancel.mock.calls.map(([id]) => id)).toEqual(['job']);
  });

  test('that ended before the answer to its cancellation arrived stays ended', async () => {
    client.jobsOf.mockResolvedValue([job('IN PROGRESS')]);
    const events = Promise.withResolvers<Response>();
    client.request.mockReturnValueOnce(events.promise as never);
    const asked = Promise.withResolvers<unknown>();
    client.cancel.mockReturnValueOnce(asked.promise);
    await entered();
    await vi.waitFor(() => expect(session.state.job).not.toBeNull());
    session.cancel();
    await vi.waitFor(() => expect(client.cancel).toHaveBeenCalledOnce());
    events.resolve(new Response(`data: ${JSON.stringify(job('CANCELED'))}\n\n`));
    await vi.waitFor(() => expect(session.state.job).toMatchObject({ state: 'CANCELED' }));
    const seen: unknown[] = [];
    session.subscribe(() => seen.push(session.state.job?.state));
    asked.resolve({ ...job('IN PROGRESS'), cancelRequested: true });
    await asked.promise;
    session.dismissError();
    await vi.waitFor(() => expect(seen).not.toEqual([]));
    expect(seen).not.toContain('IN PROGRESS');
    expect(session.state.job).toMatchObject({ state: 'CANCELED' });
  });
});

describe('what was asked for of a slide, when another is shown by then', () => {
  beforeEach(() => entered());
  const shownIs = (uid: string) =>
    vi.waitFor(() => {
      expect(session.state.source?.seriesInstanceUid).toBe(uid);
      expect(session.state.stain).toMatchObject({ state: 'ready', value: { seriesInstanceUid: uid } });
    });

  test('a job is not taken for one of the other', async () => {
    const asked = Promise.withResolvers<unknown>();
    client.normalize.mockReturnValueOnce(asked.promise);
    session.normalize();
    await vi.waitFor(() => expect(client.normalize).toHaveBeenCalledOnce());
    ohif.show(OTHER);
    await shownIs(OTHER);
    asked.resolve(job('IN PROGRESS'));
    await asked.promise;
    await shownIs(OTHER);
    expect([session.state.job, client.request.mock.calls]).toEqual([null, []]);
  });

  test('a cancelled job is not taken for one of the other', async () => {
    ohif.show(OTHER);
    await shownIs(OTHER);
    client.jobsOf.mockResolvedValueOnce([job('IN PROGRESS')]);
    const asked = Promise.withResolvers<unknown>();
    client.cancel.mockReturnValueOnce(asked.promise);
    ohif.show(SOURCE);
    await vi.waitFor(() => expect(session.state.job).not.toBeNull());
    session.cancel();
    ohif.show(OTHER);
    await shownIs(OTHER);
    asked.resolve(job('CANCELED'));
    await asked.promise;
    await shownIs(OTHER);
    expect(session.state.job).toBeNull();
  });

  test('the result of a job that ended meanwhile enters the study, and is offered', async () => {
    const result = '1.2.8';
    session.normalize();
    await vi.waitFor(() => expect(session.state.job).not.toBeNull());
    ohif.show(OTHER);
    await shownIs(OTHER);
    const ended = { ...job('COMPLETED'), result: { seriesInstanceUid: result } };
    client.jobsOf.mockResolvedValueOnce([ended]);
    client.request.mockResolvedValueOnce(new Response(`data: ${JSON.stringify(ended)}\n\n`) as never);
    ohif.stored.push(derivedSlide(result));
    ohif.show(SOURCE);
    await vi.waitFor(() => expect(ohif.told).toContain('notice success'));
    expect(session.state.results.map(({ seriesInstanceUid }) => seriesInstanceUid)).toContain(result);
    expect(session.state.comparison).toBeNull();
  });

  test('a template is not made of the other', async () => {
    session.templateFromSeries();
    ohif.show(OTHER);
    await shownIs(OTHER);
    expect(session.state.makingTemplate).toBeNull();
    session.createTemplate('Mine');
    expect(client.createTemplate).not.toHaveBeenCalled();
  });

  test('a comparison that is on its way ends', async () => {
    const opening = Promise.withResolvers<Comparison>();
    const open = vi.spyOn(Comparison, 'open').mockReturnValue(opening.promise);
    vi.spyOn(ohif.host, 'microscopyModule').mockResolvedValue({} as never);
    Object.assign(ohif.services.microscopyService!, { getActiveInteractions() {} });
    session.compare('swipe');
    await vi.waitFor(() => expect(open).toHaveBeenCalledOnce());
    ohif.show(OTHER);
    await shownIs(OTHER);
    const close = vi.fn();
    opening.resolve({ close } as unknown as Comparison);
    await vi.waitFor(() => expect(close).toHaveBeenCalledOnce());
    expect([session.state.comparison, session.comparison, session.state.error]).toEqual([
      null,
      undefined,
      null,
    ]);
    open.mockRestore();
  });
});

describe('templates', () => {
  beforeEach(() => entered());

  test('are made from the slide once they have a name, and chosen', async () => {
    session.templateFromSeries();
    expect(session.state.makingTemplate).toBe('naming');
    session.createTemplate('Mine');
    await vi.waitFor(() => expect(session.state).toMatchObject({ makingTemplate: null, template: 'two' }));
    expect(client.createTemplate.mock.calls[0]![0]).toMatchObject({
      name: 'Mine',
      seriesInstanceUid: SOURCE,
    });
  });

  test('are not made if that is cancelled', async () => {
    session.templateFromSeries();
    session.abandonTemplate();
    session.createTemplate('Mine');
    expect(session.state.makingTemplate).toBeNull();
    expect(client.createTemplate).not.toHaveBeenCalled();
  });

  test('are removed only after the consequences were shown', async () => {
    session.removeTemplate();
    session.askToRemoveTemplate('one');
    await vi.waitFor(() =>
      expect(session.state.removingTemplate).toEqual({ id: 'one', name: 'Template one', unfinishedJobs: 2 }),
    );
    session.keepTemplate();
    session.removeTemplate();
    expect(client.removeTemplate).not.toHaveBeenCalled();
    session.askToRemoveTemplate('one');
    await vi.waitFor(() => expect(session.state.removingTemplate).not.toBeNull());
    client.templates.mockResolvedValue([template('two')]);
    session.removeTemplate();
    await vi.waitFor(() => expect(session.state.template).toBe('two'));
    expect(client.removeTemplate.mock.calls.map(([id]) => id)).toEqual(['one']);
  });
});

test('listeners receive every change, until they are removed', async () => {
  await entered();
  const listener = vi.fn();
  const end = session.subscribe(listener);
  session.chooseOutput({ encoding: 'jpeg', quality: 50 });
  expect(listener).toHaveBeenCalledOnce();
  end();
  session.chooseOutput({ encoding: 'jpeg', quality: 60 });
  expect(listener).toHaveBeenCalledOnce();
});

describe('colours that were measured', () => {
  const changes: [string, () => unknown][] = [
    ['another slide is shown', () => ohif.show(OTHER)],
    ['a preview begins', () => session.preview()],
    [
      'the preview gets another template',
      async () => {
        session.preview();
        await vi.waitFor(() => expect(started).toHaveLength(1));
        session.measure('region');
        session.chooseTemplate('two');
      },
    ],
    [
      'the preview ends',
      async () => {
        session.preview();
        await vi.waitFor(() => expect(started).toHaveLength(1));
        session.measure('region');
        session.stopPreview();
      },
    ],
  ];
  test.each(changes)('are forgotten when %s', async (_what, act) => {
    await entered();
    session.chooseTransfer('paper');
    session.measure('region');
    await vi.waitFor(() => expect(session.state.measurement?.against).toBe(READING));
    await act();
    await vi.waitFor(() => expect(session.state.measurement).toBeNull());
  });

  test('under the pointer are measured on, from nothing', async () => {
    await entered();
    session.measure('pointer');
    await vi.waitFor(() => expect(session.state.measurement?.against).toBe(READING));
    session.preview();
    await vi.waitFor(() => expect(session.state.measurement).toMatchObject({ of: 'pointer', against: null }));
  });
});
