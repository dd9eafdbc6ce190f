/** What the plugin learns from the viewer, and how a new series gets into its study. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DERIVED, derivedSlide, fakeOhif, SOURCE, STUDY, slide, viewerOf } from './fake-ohif.ts';

const signal = new AbortController().signal;

describe('a slide', () => {
  test('is a series of whole-slide images, as large as its largest level', () => {
    const { host } = fakeOhif(slide(SOURCE), derivedSlide(DERIVED));
    expect(host.allSeries()).toMatchObject([
      {
        studyInstanceUid: STUDY,
        seriesInstanceUid: SOURCE,
        description: `slide ${SOURCE}`,
        totalColumns: 4000,
        totalRows: 2000,
        derived: null,
      },
      { seriesInstanceUid: DERIVED, derived: { sourceSeriesInstanceUid: SOURCE } },
    ]);
    expect(host.instances(host.allSeries()[0]!)).toHaveLength(3);
  });

  test('is not a series of another modality, or one without a level', () => {
    const label = { ImageType: 'ORIGINAL\\PRIMARY\\LABEL', TotalPixelMatrixColumns: 10 };
    const { host } = fakeOhif({ ...slide('1.2.5'), Modality: 'CT' }, slide('1.2.6', label), {
      ...slide('1.2.7'),
      others: [],
    });
    expect(host.allSeries()).toEqual([]);
  });

  test('in the active viewport is the active one; undefined if nothing or something else is shown', () => {
    const ohif = fakeOhif(slide(SOURCE), { ...slide('1.2.5'), Modality: 'CT' });
    expect(ohif.host.activeSeries()).toBeNull();
    ohif.show(SOURCE);
    expect(ohif.host.activeSeries()?.seriesInstanceUid).toBe(SOURCE);
    for (const other of ['1.2.5', '1.2.404', undefined]) {
      ohif.show(other);
      expect(ohif.host.activeSeries()).toBeNull();
    }
  });

  test('is where annotations are drawn, in the coordinates of its viewer', () => {
    const source = slide(SOURCE);
    const annotations = {
      ...slide('1.2.8'),
      Modality: 'SR',
      isOverlayDisplaySet: true,
      getSourceDisplaySet: () => source,
    };
    const { host } = fakeOhif(source, annotations);
    expect(host.seriesOf(viewerOf('1.2.8'))?.seriesInstanceUid).toBe(SOURCE);
    expect(host.seriesOf(viewerOf(SOURCE))?.seriesInstanceUid).toBe(SOURCE);
    expect(host.seriesOf(viewerOf('1.2.404'))).toBeNull();
  });
});

describe('the token of the user', () => {
  test("is sent as it is now, together with the viewer's own headers", () => {
    const ohif = fakeOhif();
    expect(ohif.host.authorization.header()).toBeUndefined();
    expect(ohif.host.wadoClient().headers).toEqual({ Accept: 'any' });
    ohif.authorization = 'Bearer new';
    expect(ohif.host.authorization.header()).toEqual({ Authorization: 'Bearer new' });
    expect(ohif.host.wadoClient().headers).toEqual({ Accept: 'any', Authorization: 'Bearer new' });
    ohif.host.authorization.expired();
    expect(ohif.told).toEqual(['unauthenticated']);
  });
});

test('a mode without slides is refused with a message', async () => {
  const ohif = fakeOhif();
  Object.assign(ohif.services, { microscopyService: undefined });
  expect(ohif.host.viewers()).toEqual([]);
  await expect(ohif.host.microscopyModule()).rejects.toMatchObject({ user: { code: 'VIEWER_UNSUPPORTED' } });
});

describe('a new series', () => {
  test('is in the study once the viewer has cleared its cache of the study', async () => {
    const ohif = fakeOhif(slide(SOURCE));
    ohif.stored.push(slide('1.2.9'), derivedSlide(DERIVED));
    expect(await ohif.host.loadNewSeries(STUDY, DERIVED)).toMatchObject({ seriesInstanceUid: DERIVED });
    expect(ohif.told).toEqual([`forget ${STUDY}`, `forget archive:${STUDY}`]);
    // Nobody requested the other one.
    expect(ohif.host.allSeries().map(({ seriesInstanceUid }) => seriesInstanceUid)).toEqual([
      SOURCE,
      DERIVED,
    ]);
  });

  test('comes where its number says in the viewer’s list, whatever came first', () => {
    const numbered = (uid: string, SeriesNumber: number) => ({ ...slide(uid), SeriesNumber });
    const ohif = fakeOhif(numbered('1.2.9', 10), numbered(DERIVED, 2), numbered(SOURCE, 1));
    const stop = ohif.host.onChange(() => {});
    for (const listener of ohif.listeners) listener();
    expect(ohif.sets.map(({ SeriesNumber }) => SeriesNumber)).toEqual([1, 2, 10]);
    stop();
  });

  test('that the archive does not return is reported as missing', async () => {
    const { host } = fakeOhif(slide(SOURCE));
    await expect(host.loadNewSeries(STUDY, DERIVED)).rejects.toMatchObject({
      user: { code: 'RESULT_MISSING' },
    });
  });
});

describe('in time', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test('a viewer is waited for until it is in the page', async () => {
    const ohif = fakeOhif(slide(SOURCE));
    const [series] = ohif.host.allSeries();
    const found = vi.fn();
    void ohif.host.viewerOf(series!, signal).then(found);
    ohif.viewers.push(viewerOf('1.2.404'), viewerOf(SOURCE, false));
    await vi.advanceTimersByTimeAsync(5000);
    expect(found).not.toHaveBeenCalled();
    const there = viewerOf(SOURCE);
    ohif.viewers.push(there);
    await vi.advanceTimersByTimeAsync(5000);
    expect(found).toHaveBeenCalledExactlyOnceWith(there);
  });

  test('waiting ends for a viewer that is no longer wanted', async () => {
    const { host } = fakeOhif(slide(SOURCE));
    const end = new AbortController();
    const waiting = host.viewerOf(host.allSeries()[0]!, end.signal);
    end.abort(new Error('moved on'));
    await expect(waiting).rejects.toThrow('moved on');
    await expect(host.viewerOf(host.allSeries()[0]!, end.signal)).rejects.toThrow('moved on');
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a change is another slide, a new one, or a viewer that appeared or left; until the listener is removed', () => {
    const ohif = fakeOhif(slide(SOURCE));
    const changed = vi.fn();
    const end = ohif.host.onChange(changed);
    const times = (): number => {
      const { length } = changed.mock.calls;
      changed.mockClear();
      return length;
    };
    vi.advanceTimersByTime(5000);
    expect(times()).toBe(0);
    ohif.viewers.push(viewerOf(SOURCE));
    vi.advanceTimersByTime(5000);
    expect(times()).toBe(1);
    ohif.viewers.splice(0, 1, viewerOf(SOURCE));
    vi.advanceTimersByTime(5000);
    expect(times()).toBe(1);
    ohif.show(SOURCE);
    expect(times()).toBeGreaterThan(0);
    end();
    ohif.show(undefined);
    vi.advanceTimersByTime(5000);
    expect([times(), ohif.listeners.size, vi.getTimerCount()]).toEqual([0, 0, 0]);
  });
});

describe('before another series is shown', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const isOver = async (waiting: Promise<void>): Promise<boolean> => {
    let over = false;
    void waiting.then(() => {
      over = true;
    });
    await vi.advanceTimersByTimeAsync(1000);
    return over;
  };

  test('the one that is shown has its viewer: OHIF would forget that of the next', async () => {
    const ohif = fakeOhif(slide(SOURCE), slide(DERIVED));
    const { signal } = new AbortController();
    expect(await isOver(ohif.host.untilOpened(signal))).toBe(true);
    ohif.show(SOURCE);
    const [viewer] = ohif.viewers.splice(0);
    const waiting = ohif.host.untilOpened(signal);
    expect(await isOver(waiting)).toBe(false);
    // Of a series that was shown earlier; it is not in the page any more.
    ohif.viewers.push(viewerOf(SOURCE, false));
    expect(await isOver(waiting)).toBe(false);
    ohif.viewers.splice(0, 1, viewer!);
    expect(await isOver(waiting)).toBe(true);
  });

  test('the wait has an end, and can be cancelled', async () => {
    const ohif = fakeOhif(slide(SOURCE));
    ohif.show(SOURCE);
    ohif.viewers.splice(0);
    const waiting = ohif.host.untilOpened(new AbortController().signal);
    expect(await isOver(waiting)).toBe(false);
    await vi.advanceTimersByTimeAsync(10_000);
    await waiting;
    const cancelled = new AbortController();
    const refused = expect(ohif.host.untilOpened(cancelled.signal)).rejects.toThrow();
    cancelled.abort();
    await refused;
  });
});
