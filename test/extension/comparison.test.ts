/** Two viewers over one another: their layout and labels, and that nothing stays behind. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Comparison } from '../../extension/src/comparison/comparison.ts';
import { mapOf } from '../../extension/src/microscopy/open-layers.ts';
import type { ManagedViewer } from '../../extension/src/ohif/types.ts';
import { PluginError } from '../../extension/src/plugin-error.ts';
import type { SlideSeries } from '../../extension/src/state.ts';
import { DERIVED, derivedSlide, fakeOhif, SOURCE, slide } from './fake-ohif.ts';
import { FakeElement, fakePage } from './fake-page.ts';

/** A viewer of dicom-microscopy-viewer, with its map. */
function fakeViewer() {
  let view: object = { name: 'its own' };
  const map = {
    getView: () => view,
    setView(other: object) {
      view = other;
    },
    getPixelFromCoordinate: (at: readonly [number, number]) => at,
    getCoordinateFromPixel: (at: readonly [number, number]) => at,
    updateSize: vi.fn(),
    getTarget: () => ({}),
    getAllLayers: () => [],
    removeLayer() {},
    getControls: () => ({ getArray: () => [] }),
    dispose() {},
    once() {},
    on() {},
    un() {},
  };
  return { [Symbol('map')]: map, render() {}, cleanup() {}, resize() {} };
}

let page: FakeElement;
let parent: FakeElement;
let metadata: () => Promise<object[]>;
const [original, normalized, ...others] = fakeOhif(
  slide(SOURCE),
  ...[DERIVED, '1.2.3', '1.2.4'].map((uid) => derivedSlide(uid)),
).host.allSeries() as [SlideSeries, SlideSeries, ...SlideSeries[]];

beforeEach(() => {
  const fake = fakePage();
  ({ page } = fake);
  for (const [name, value] of Object.entries(fake.globals)) vi.stubGlobal(name, value);
  parent = new FakeElement();
  page.append(parent);
  metadata = async () => [];
});
afterEach(() => void vi.unstubAllGlobals());

/** @param shown series of the viewport's own viewer */
async function compare({
  shown = SOURCE,
  showDifference = (): (() => void) => () => {},
  others = [] as SlideSeries[],
} = {}) {
  const container = new FakeElement();
  parent.append(container);
  const viewer = { viewer: fakeViewer(), container, seriesInstanceUID: shown } as unknown as ManagedViewer;
  const module = {
    viewer: {
      VolumeImageViewer: function make() {
        return fakeViewer();
      },
    },
    metadata: { VLWholeSlideMicroscopyImage: class {} },
  };
  const client = { retrieveSeriesMetadata: vi.fn(() => metadata()) };
  const signal = new AbortController().signal;
  const unlink = vi.fn();
  const link = vi.fn(() => unlink);
  const slides = { against: original, normalized, others };
  const templateName = (id: string): string => id;
  const options = { viewer, ...slides, templateName, module, client, link, signal, showDifference };
  const comparison = await Comparison.open(options as unknown as Parameters<typeof Comparison.open>[0]);
  const second = parent.children.find(({ className }) => className === 'stain-second-viewer')!;
  return { comparison, viewer, container, second, client, link, unlink };
}

const labels = (): string[] =>
  parent.all.filter(({ className }) => className === 'stain-pane-label').map(({ text }) => text);

describe.each([
  ['original', SOURCE, DERIVED],
  ['normalised slide', DERIVED, SOURCE],
])('over the %s', (_name, shown, other) => {
  test('is the other one, with the same view', async () => {
    const { comparison, viewer, client } = await compare({ shown });
    expect(client.retrieveSeriesMetadata).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ seriesInstanceUID: other }),
    );
    const { maps } = comparison;
    expect(maps.against.getView()).toBe(maps.normalized.getView());
    expect(maps[shown === SOURCE ? 'against' : 'normalized']).toBe(mapOf(viewer.viewer));
  });

  test('side by side the original is on the left', async () => {
    const { comparison, container, second } = await compare({ shown });
    comparison.setMode('side-by-side');
    const [left, right] = shown === SOURCE ? [container, second] : [second, container];
    expect(left.style['cssText']).toContain('left:0');
    expect(right.style['cssText']).toContain('left:50%');
    expect(labels()).toEqual([expect.stringMatching(/^Original/), expect.stringMatching(/^Normali[sz]ed/)]);
  });

  test('the original is seen for as long as it is wanted, and the label says so', async () => {
    const { comparison, second } = await compare({ shown });
    const isSecondSeen = (): boolean => second.style['visibility'] !== 'hidden';
    const seesOriginal = (): boolean => isSecondSeen() === (shown !== SOURCE);
    comparison.setMode('blink');
    expect([seesOriginal(), labels()]).toEqual([false, [expect.stringMatching(/^Normali[sz]ed/)]]);
    comparison.lookAtOther(true);
    expect([seesOriginal(), labels()]).toEqual([true, [expect.stringMatching(/^Original/)]]);
    comparison.lookAtOther(false);
    expect([seesOriginal(), labels()]).toEqual([false, [expect.stringMatching(/^Normali[sz]ed/)]]);
  });
});

test.each(['side-by-side', 'swipe', 'difference'] as const)(
  'where both are seen, or neither, nothing is swapped: %s',
  async (mode) => {
    const { comparison, second } = await compare({ showDifference: () => () => {} });
    comparison.setMode('blink');
    comparison.setMode(mode);
    const before = { ...second.style };
    comparison.lookAtOther(true);
    expect(second.style).toEqual(before);
  },
);

test('alone, nothing says what is shown', async () => {
  const { comparison, second } = await compare();
  expect(second.style['cssText']).toContain('visibility:hidden');
  comparison.setMode('alone');
  expect(second.style['visibility']).toBe('visible');
  expect(labels()).toEqual([]);
});

test.each(['alone', 'swipe', 'blink', 'difference'] as const)(
  'over the other, it lets the tools of the viewer below work, as it does not beside it: %s',
  async (mode) => {
    const { comparison, second } = await compare();
    comparison.setMode(mode);
    expect(second.style['pointerEvents']).toBe('none');
    comparison.setMode('side-by-side');
    expect(second.style['pointerEvents']).toBe('');
  },
);

test('the tools of the first work in the second, for as long as it is there', async () => {
  const { comparison, viewer, container, second, link, unlink } = await compare({ shown: DERIVED });
  expect(link).toHaveBeenCalledExactlyOnceWith(viewer, expect.anything(), second);
  const side = (element: object) => comparison.sideOf(element as HTMLElement);
  expect([container, second, parent].map(side)).toEqual(['normalized', 'against', undefined]);
  expect(unlink).not.toHaveBeenCalled();
  comparison.close();
  expect(unlink).toHaveBeenCalledOnce();
});

test('a difference that fails ends, and the label says what is shown instead', async () => {
  let fail: (error: Error) => void = () => {};
  const hide = vi.fn();
  const showDifference = vi.fn((_surface: unknown, _legend: unknown, on: { error(error: Error): void }) => {
    fail = on.error;
    return hide;
  });
  const { comparison } = await compare({ showDifference: showDifference as unknown as () => () => void });
  comparison.setMode('difference');
  expect(parent.all.some(({ className }) => className === 'stain-legend')).toBe(true);
  fail(new PluginError('PREVIEW_FAILED', { reason: 'no memory' }));
  expect(hide).toHaveBeenCalled();
  expect(parent.all.some(({ className }) => /stain-(legend|surface)/.test(className))).toBe(false);
  expect(labels()).toEqual([expect.stringMatching(/^Original.*no memory/)]);
});

test.each(['side-by-side', 'swipe', 'blink', 'difference'] as const)(
  '%s leaves nothing behind',
  async (mode) => {
    const hide = vi.fn();
    const { comparison, container, second } = await compare({ showDifference: () => hide });
    const before = { ...container.style };
    comparison.setMode(mode);
    expect(labels()).not.toEqual([]);
    comparison.setMode('blink');
    expect(container.style).toEqual(before);
    expect(labels()).toHaveLength(1);
    comparison.close();
    expect(parent.children).toEqual([container]);
    expect(second.isConnected).toBe(false);
    expect(hide).toHaveBeenCalledTimes(mode === 'difference' ? 1 : 0);
  },
);

test.each([
  ['by the archive', () => Object.assign(new Error('request failed'), { status: 401 })],
  ['by a client of our own', () => new PluginError('SESSION_EXPIRED')],
])(
  'a login that has expired, as told %s, is not reported as an archive that is away',
  async (_who, fault) => {
    metadata = async () => {
      throw fault();
    };
    await expect(compare()).rejects.toMatchObject({ user: { code: 'SESSION_EXPIRED' } });
  },
);

test('a second viewer that cannot be opened does not affect the first', async () => {
  metadata = async () => {
    throw new Error('the archive is away');
  };
  await expect(compare()).rejects.toMatchObject({ user: { code: 'SLIDE_LATE' } });
  expect(parent.children.map(({ className }) => className)).toEqual(['']);
});

describe('two by two', () => {
  const seconds = (): FakeElement[] =>
    parent.children.filter(({ className }) => className === 'stain-second-viewer');

  test.each([
    ['original', SOURCE],
    ['normalised slide', DERIVED],
  ])('over the %s, each slide has its quarter and its label', async (_name, shown) => {
    const { comparison, container, unlink } = await compare({ shown, others });
    const before = { ...container.style };
    const [cover, third, fourth] = seconds();
    const [first, second] = shown === SOURCE ? [container, cover!] : [cover!, container];
    expect([third, fourth].map((one) => one!.style['cssText'])).toEqual(
      Array(2).fill(expect.stringContaining('visibility:hidden')),
    );
    comparison.setMode('two-by-two');
    expect([first, second, third!, fourth!].map((one) => one.style['cssText'])).toEqual(
      ['left:0%;top:0%', 'left:50%;top:0%', 'left:0%;top:50%', 'left:50%;top:50%'].map((place) =>
        expect.stringContaining(place),
      ),
    );
    expect(labels()).toEqual([
      expect.stringMatching(/^Original/),
      ...Array(3).fill(expect.stringMatching(/^Normalised.*series \d/)),
    ]);
    const side = (element: object) => comparison.sideOf(element as HTMLElement);
    expect([first, second, third!, fourth!, parent].map(side)).toEqual([
      'against',
      'normalized',
      ...others,
      undefined,
    ]);
    comparison.close();
    expect(unlink).toHaveBeenCalledTimes(3);
    expect(parent.children).toEqual([container]);
    expect(container.style).toEqual(before);
  });

  test('is of the series that it was opened for, in their order', async () => {
    const { comparison } = await compare({ others });
    const wanted = { against: original, normalized, others };
    expect(comparison.isOf(structuredClone(wanted))).toBe(true);
    expect(comparison.isOf({ ...wanted, others: others.toReversed() })).toBe(false);
    expect(comparison.isOf({ ...wanted, others: [] })).toBe(false);
    expect(comparison.isOf({ ...wanted, normalized: others[0]! })).toBe(false);
  });

  test('of which one cannot be opened leaves none', async () => {
    let asked = 0;
    metadata = async () => {
      if (++asked === 3) throw new Error('the archive is away');
      return [];
    };
    await expect(compare({ others })).rejects.toMatchObject({ user: { code: 'SLIDE_LATE' } });
    expect(seconds()).toEqual([]);
  });
});
