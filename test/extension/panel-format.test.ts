import { expect, test } from 'vitest';
import { classColour, formatStage, formatTimeLeft } from '../../extension/src/panel/format.ts';
import { formatDecimal } from '../../extension/src/strings/language.ts';

test('the time left is rounded according to its uncertainty', () => {
  expect([2, 31, 300, 7300].map(formatTimeLeft)).toEqual([
    'about 5 s left',
    'about 35 s left',
    'about 5 min left',
    'about 2 h left',
  ]);
});

test('a job that waits says so', () => {
  expect(formatStage({ state: 'SCHEDULED', progress: null })).toBe('Waiting for its turn');
});

test('a class without colour is grey, glass is white', () => {
  expect(classColour({ mean: [0, 0, 0] })).toBe('rgb(255, 255, 255)');
  expect(classColour({ mean: [Math.LN2, 0, 0] })).toBe('rgb(128, 128, 128)');
});

test('a number that rounds to zero has no minus', () => {
  expect([-0.04, -1.26, 1.26].map((value) => formatDecimal(value, 1))).toEqual(['0.0', '-1.3', '1.3']);
});
