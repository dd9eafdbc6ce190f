/** Annotations of a slide: whose they are, what OHIF forgets and what the user removes, and the reports in an archive. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Annotation } from '../../extension/src/annotations/annotation.ts';
import { makeReport } from '../../extension/src/annotations/report.ts';
import type {
  DisplaySet,
  MicroscopyService,
  NaturalizedInstance,
  Roi,
  RoiAnnotation,
} from '../../extension/src/ohif/types.ts';
import { Annotating, NO_ANNOTATIONS } from '../../extension/src/session/annotating.ts';
import type { SessionContext } from '../../extension/src/session/context.ts';
import type { PluginState } from '../../extension/src/state.ts';
import { DERIVED, fakeOhif, SOURCE, STUDY, slide, viewerOf } from './fake-ohif.ts';

const REPORT_CLASS = '1.2.840.10008.5.1.4.1.1.88.34';
const BASE = {
  StudyInstanceUID: STUDY,
  SeriesInstanceUID: SOURCE,
  FrameOfReferenceUID: '1.9',
  SOPInstanceUID: '1.2.1.5',
};
const DERIVATION = {
  ManufacturerModelName: 'stain-normalization',
  RelatedSeriesSequence: [{ SeriesInstanceUID: SOURCE }],
};
const drawn = (uid: string, seriesInstanceUID = SOURCE, label = ''): RoiAnnotation => ({
  uid,
  seriesInstanceUID,
  label,
  roiGraphic: { uid, scoord3d: { graphicType: 'POINT', graphicData: [1, 2, 0] } },
});
const kept = (uid: string): Annotation => ({
  uid,
  graphicType: 'POINT',
  points: [[1, 2, 0]],
  label: '',
  shown: 'Original',
});

/** A display set of a stored report. */
function reportOf(
  uid: string,
  annotations: readonly Annotation[],
  replaced: readonly string[] = [],
): DisplaySet {
  const instance = makeReport({
    annotations,
    areWithdrawn: false,
    source: BASE,
    replaced: replaced.map((one) => ({ seriesInstanceUid: `${one}.0`, sopInstanceUid: one })),
    seriesNumber: 9,
    seriesDescription: '',
    language: 'en',
    observer: undefined,
    now: new Date(),
  });
  return {
    displaySetInstanceUID: uid,
    StudyInstanceUID: STUDY,
    SeriesInstanceUID: `${uid}.0`,
    Modality: 'SR',
    SOPClassUID: REPORT_CLASS,
    instance: { ...instance, SOPInstanceUID: uid, SeriesInstanceUID: `${uid}.0` },
  };
}

let ohif: ReturnType<typeof fakeOhif>;
/** OHIF's annotations, as its service keeps them. */
let known: Map<string, RoiAnnotation>;
let say: (event: string, uid: string) => void;
let clear: () => void;
let stored: NaturalizedInstance[];
let failures: unknown[];
let state: PluginState;
let annotating: Annotating;
let mode: AbortController;

beforeEach(async () => {
  ohif = fakeOhif(slide(SOURCE, BASE), slide(DERIVED, { ...DERIVATION, FrameOfReferenceUID: '1.9' }));
  known = new Map();
  stored = [];
  failures = [];
  const listeners: (readonly [string, (one: { uid: string }) => void])[] = [];
  say = (event, uid) => {
    for (const [of, listener] of listeners) if (of === event) listener({ uid });
  };
  const remove = (uid: string): void => {
    known.delete(uid);
    say('removed', uid);
  };
  const service = {
    EVENTS: { ANNOTATION_UPDATED: 'updated', ANNOTATION_REMOVED: 'removed' },
    subscribe(event: string, listener: (one: { uid: string }) => void) {
      listeners.push([event, listener]);
      return { unsubscribe: () => void listeners.splice(0) };
    },
    getAnnotation: (uid: string) => known.get(uid),
    removeAnnotation: ({ uid }: RoiAnnotation) => remove(uid),
    clearAnnotations: () => [...known.keys()].forEach(remove),
    synchronizeViewers() {},
    importDicomMicroscopyViewer: async () => ({
      roi: {
        ROI: function make(this: object, options: object) {
          Object.assign(this, options);
        },
      },
      scoord3d: {
        Point: function make(this: object, { coordinates }: { coordinates: unknown }) {
          Object.assign(this, { graphicType: 'POINT', graphicData: coordinates });
        },
      },
    }),
  };
  Object.assign(ohif.services.microscopyService!, service);
  clear = () => (ohif.services.microscopyService as MicroscopyService).clearAnnotations();
  vi.stubGlobal('document', { addEventListener() {}, adoptedStyleSheets: [] });
  vi.stubGlobal('window', new EventTarget());
  vi.stubGlobal(
    'CSSStyleSheet',
    class {
      replaceSync() {}
    },
  );
  vi.spyOn(ohif.host, 'store').mockImplementation(async (instance, onStored) => {
    stored.push(instance);
    onStored();
  });
  state = { annotations: NO_ANNOTATIONS } as PluginState;
  const attempt = async (work: (signal: AbortSignal) => Promise<void>): Promise<void> =>
    work(mode.signal).catch((error) => void failures.push(error));
  const context = {
    host: ohif.host,
    get state() {
      return state;
    },
    change(change: Partial<PluginState>) {
      state = { ...state, ...change };
    },
    act: attempt,
    attempt,
  };
  annotating = new Annotating(context as unknown as SessionContext, () => undefined, String);
  mode = new AbortController();
  look(SOURCE);
  annotating.open(mode.signal);
  await vi.waitFor(() => expect(document.adoptedStyleSheets).toHaveLength(1));
});
afterEach(() => {
  mode.abort();
  vi.unstubAllGlobals();
});

/** Shows a series in a new viewer. */
function look(series: string): void {
  const all = ohif.host.allSeries();
  const find = (uid: string) => all.find(({ seriesInstanceUid }) => seriesInstanceUid === uid)!;
  state = { ...state, source: find(SOURCE), series: find(series) };
  const addRoiGraphicWithLabel = (roi: Roi, label: string): void => {
    known.set(roi.uid, { uid: roi.uid, seriesInstanceUID: series, label, roiGraphic: roi });
    say('updated', roi.uid);
  };
  ohif.viewers.splice(0, Infinity, Object.assign(viewerOf(series), { addRoiGraphicWithLabel }));
}

function draw(annotation: RoiAnnotation): void {
  known.set(annotation.uid, annotation);
  say('updated', annotation.uid);
}

const uids = (): string[] => state.annotations.list.map(({ uid }) => uid);

describe('what is drawn', () => {
  test('belongs to the source, on whichever series it was drawn', () => {
    look(DERIVED);
    draw(drawn('a', DERIVED, 'Mitosis'));
    expect(state.annotations).toMatchObject({
      isKept: false,
      list: [{ uid: 'a', label: 'Mitosis', shown: expect.stringMatching(/^Normalised/) }],
    });
  });

  test('stays what it was drawn on when it is changed elsewhere', () => {
    look(DERIVED);
    draw(drawn('a', DERIVED));
    look(SOURCE);
    draw(drawn('a', SOURCE, 'Mitosis'));
    expect(state.annotations.list).toMatchObject([
      { label: 'Mitosis', shown: expect.stringMatching(/^Normalised/) },
    ]);
  });

  test('is put back when OHIF has forgotten it, and not when the user has removed it', () => {
    draw(drawn('a'));
    draw(drawn('b'));
    known.delete('b');
    say('removed', 'b');
    look(DERIVED);
    clear();
    expect([uids(), [...known.keys()], known.get('a')?.seriesInstanceUID]).toEqual([['a'], ['a'], DERIVED]);
  });

  test('is left to OHIF where it shows a report', () => {
    draw(drawn('a', '1.2.7'));
    expect(uids()).toEqual([]);
  });

  test('is forgotten by OHIF alone when the mode has ended', () => {
    draw(drawn('a'));
    mode.abort();
    clear();
    expect([...known.keys()]).toEqual([]);
  });
});

describe('reports', () => {
  test('of two people who did not see each other’s are both shown, and the next replaces both', () => {
    ohif.sets.push(
      reportOf('2.1', [kept('old')]),
      reportOf('2.2', [kept('a')], ['2.1']),
      reportOf('2.3', [kept('b')], ['2.1']),
    );
    annotating.look();
    expect(state.annotations).toMatchObject({ isKept: true, list: [{ uid: 'a' }, { uid: 'b' }] });
    expect([...known.keys()]).toEqual(['a', 'b']);
    draw(drawn('c'));
    annotating.keep();
    const [{ ReferencedSeriesSequence: replaced }] = stored[0]!['PredecessorDocumentsSequence'];
    expect(replaced.map((one: NaturalizedInstance) => one['SeriesInstanceUID'])).toEqual(['2.2.0', '2.3.0']);
  });

  test('that come one after the other say the same as those that come at once', () => {
    const [first, second] = [
      reportOf('2.1', [kept('a'), kept('b'), { ...kept('c'), label: 'before' }]),
      reportOf('2.2', [kept('a'), { ...kept('c'), label: 'after' }], ['2.1']),
    ];
    ohif.sets.push(first);
    annotating.look();
    draw(drawn('d'));
    expect([...known.keys()]).toEqual(['a', 'b', 'c', 'd']);
    ohif.sets.push(second);
    annotating.look();
    expect(state.annotations.list.map(({ uid, label }) => `${uid} ${label}`).sort()).toEqual([
      'a ',
      'c after',
      'd ',
    ]);
    expect([...known.keys()].sort()).toEqual(['a', 'c', 'd']);
    expect(known.get('c')!.label).toBe('after');
  });

  test('are read once: what was removed since does not come back', () => {
    ohif.sets.push(reportOf('2.1', [kept('a')]));
    annotating.look();
    known.delete('a');
    say('removed', 'a');
    annotating.look();
    expect(state.annotations).toMatchObject({ isKept: false, list: [] });
  });

  test('do not undo what was changed while they were on their way', async () => {
    const sent = Promise.withResolvers<void>();
    vi.mocked(ohif.host.store).mockImplementationOnce(async (_instance, onStored) => {
      await sent.promise;
      onStored();
    });
    draw(drawn('a'));
    draw(drawn('b'));
    annotating.keep();
    draw(drawn('a', SOURCE, 'Mitosis'));
    known.delete('b');
    say('removed', 'b');
    sent.resolve();
    await vi.waitFor(() => expect(state.annotations.isKeeping).toBe(false));
    expect(state.annotations).toMatchObject({ isKept: false, list: [{ uid: 'a', label: 'Mitosis' }] });
  });

  test('of nothing say that the last one is withdrawn', async () => {
    draw(drawn('a'));
    annotating.keep();
    await vi.waitFor(() => expect(state.annotations).toMatchObject({ isKept: true, isKeeping: false }));
    known.delete('a');
    say('removed', 'a');
    annotating.keep();
    await vi.waitFor(() => expect(state.annotations).toMatchObject({ isKept: true, isKeeping: false }));
    expect(stored.map((one) => JSON.stringify(one).includes('WITHDRAWN'))).toEqual([false, true]);
  });

  test('hold 32-bit numbers, and the viewer rounds: what only differs so was not changed', () => {
    const at = 12.3456;
    ohif.sets.push(reportOf('2.1', [{ ...kept('a'), points: [[Math.fround(at), 2, 0]] }]));
    annotating.look();
    expect(state.annotations.isKept).toBe(true);
    draw({
      ...drawn('a'),
      roiGraphic: { uid: 'a', scoord3d: { graphicType: 'POINT', graphicData: [at, 2, 0] } },
    });
    expect(state.annotations.isKept).toBe(true);
    draw({
      ...drawn('a'),
      roiGraphic: { uid: 'a', scoord3d: { graphicType: 'POINT', graphicData: [at + 0.001, 2, 0] } },
    });
    expect(state.annotations.isKept).toBe(false);
  });

  test('that the archive refuses leave everything as it was', async () => {
    vi.mocked(ohif.host.store).mockRejectedValueOnce(new Error('409'));
    draw(drawn('a'));
    annotating.keep();
    await vi.waitFor(() => expect(failures).toMatchObject([{ user: { code: 'ANNOTATIONS_NOT_KEPT' } }]));
    expect(state.annotations).toMatchObject({ isKept: false, isKeeping: false, list: [{ uid: 'a' }] });
  });
});

test('a page with annotations that are nowhere else asks before it is closed', () => {
  const asks = (): boolean => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }));
  expect(asks()).toBe(false);
  draw(drawn('a'));
  expect(asks()).toBe(true);
  annotating.keep();
  expect(asks()).toBe(false);
  draw(drawn('b'));
  // They are kept for the next mode.
  mode.abort();
  expect(asks()).toBe(true);
});
