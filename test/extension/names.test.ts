/** Names in place of the identifiers that headers and jobs have. */
import { expect, test } from 'vitest';
import { modelName, resultName, templateName, transferName } from '../../extension/src/names.ts';
import type { PluginState, SlideSeries } from '../../extension/src/state.ts';

const known = {
  templates: { state: 'ready', value: [{ id: 'he-violet', name: 'Cool violet' }] },
} as unknown as PluginState;
const unknown = { templates: { state: 'loading' } } as const;

test('a template has the name that the panel shows, and its identifier while that is not known', () => {
  expect(templateName('he-violet', known)).toBe('Cool violet');
  expect([templateName('gone', known), templateName('he-violet', unknown)]).toEqual(['gone', 'he-violet']);
});

test('models and transfers of a header have names; what it does not have stays as it is', () => {
  expect([modelName('fast 0.4.0'), modelName('our.own 1')]).toEqual(['Fast 0.4.0', 'our.own 1']);
  expect([transferName('linear map of optical density'), transferName('by hand')]).toEqual([
    'Linear',
    'by hand',
  ]);
});

test('results are told apart by how they were made and by their numbers', () => {
  const record = { encoding: 'jpeg', quality: 1000 };
  const derived = { template: 'he-violet', transfer: 'class by class, as published', record };
  const result = { description: 'Normalized he-violet', number: 1001, derived } as unknown as SlideSeries;
  expect(resultName(result, known)).toBe('Cool violet, As published, JPEG, 1,000 (series 1001)');
  expect(resultName({ ...result, derived: null }, known)).toBe('Normalized he-violet');
});
