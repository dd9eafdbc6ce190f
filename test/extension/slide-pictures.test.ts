/** Pictures of the slide under each template: their pixels, their number at a time, and when they are aborted. */
import { expect, test } from 'vitest';
import { pictureRegion, slidePictures } from '../../extension/src/slide-pictures.ts';
import type { SlideSeries } from '../../extension/src/state.ts';

const source = {
  studyInstanceUid: '1.2',
  seriesInstanceUid: '1.2.1',
  totalColumns: 5000,
  totalRows: 3000,
} as SlideSeries;
const region = { x: 0, y: 0, width: 5000, height: 3000 };
const never = new AbortController().signal;

test('linear shows all of the slide, or everything in view', () => {
  const view = { x: 100, y: 200, width: 2000, height: 1500 };
  expect(pictureRegion(source, 'linear', undefined)).toEqual(region);
  expect(pictureRegion(source, 'linear', view)).toEqual(view);
});

test('class by class shows the middle, at the resolution of the network', () => {
  expect(pictureRegion(source, 'paper', undefined)).toEqual({ x: 1988, y: 988, width: 1024, height: 1024 });
  const view = { x: 100, y: 200, width: 600, height: 2000 };
  expect(pictureRegion(source, 'paper', view)).toEqual({ x: 100, y: 688, width: 600, height: 1024 });
});

test('every template is requested once, on the same pixels, two at a time', async () => {
  const asked: string[] = [];
  let now = 0;
  let max = 0;
  const preview = async (body: { template: string; region: object }): Promise<string> => {
    expect(body).toMatchObject({ region, transfer: 'linear', seriesInstanceUid: '1.2.1' });
    asked.push(body.template);
    max = Math.max(max, ++now);
    await new Promise(setImmediate);
    now--;
    return `picture ${body.template}`;
  };
  const got: Record<string, string> = {};
  await slidePictures(
    { source, region, transfer: 'linear', templates: ['a', 'b', 'c', 'd', 'e'] },
    { preview },
    never,
    (template, url) => {
      got[template] = url;
    },
  );
  expect(asked.toSorted()).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(got['c']).toBe('picture c');
  expect(max).toBe(2);
});

test('pictures that are no longer wanted are neither requested nor shown', async () => {
  const abort = new AbortController();
  const asked: string[] = [];
  const preview = async ({ template }: { template: string }): Promise<string> => {
    asked.push(template);
    abort.abort();
    return 'late';
  };
  const got: string[] = [];
  await expect(
    slidePictures(
      { source, region, transfer: 'linear', templates: ['a', 'b', 'c', 'd'] },
      { preview },
      abort.signal,
      (template) => got.push(template),
    ),
  ).rejects.toThrow();
  expect(got).toEqual([]);
  expect(asked.length).toBeLessThanOrEqual(2);
});
