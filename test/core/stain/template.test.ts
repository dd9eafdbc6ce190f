import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainName, plainText } from '../../../core/src/stain/plain-text.ts';
import {
  contentOf,
  parseContent,
  parseTemplate,
  publicOrigin,
  requireTemplateOf,
  sha256Of,
  TEMPLATE_KIND,
  versionOf,
} from '../../../core/src/stain/template.ts';
import { templateOf } from '../../support/template.ts';

describe('the hash of a template', () => {
  const { sha256 } = versionOf(templateOf('a'));

  it('depends on its content only: neither on texts nor on the order of its fields', () => {
    const renamed = templateOf('b', 0, { name: 'Another', description: '', thumbnail: '' });
    expect(versionOf(renamed).sha256).toBe(sha256);
    const turned = Object.fromEntries(Object.entries(templateOf('a')).reverse());
    expect(versionOf(parseTemplate(JSON.stringify(turned), 'x')).sha256).toBe(sha256);
  });

  it('changes with the numbers, the network and the kind', () => {
    const { model } = templateOf('a');
    const others = [
      templateOf('a', 1),
      templateOf('a', 0, { glassDensity: 0.03 }),
      templateOf('a', 0, { model: { ...model, sha256: 'b'.repeat(64) } }),
    ].map((template) => versionOf(template).sha256);
    const otherKind = sha256Of('another/1', contentOf(templateOf('a')));
    expect(new Set([sha256, ...others, otherKind]).size).toBe(5);
  });

  it('is recovered from the text that is kept', () => {
    const content = contentOf(templateOf('a', 7));
    expect(contentOf(parseContent('a', TEMPLATE_KIND, content))).toBe(content);
    expect(() => parseContent('a', 'moments/0', content)).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_OUTDATED' }),
    );
  });
});

describe('a document that no fit gives is refused', () => {
  const template = templateOf('a');
  const withCovariance = (...rows: number[][]): object => ({
    ...template,
    densities: template.densities.map((one) => ({ ...one, covariance: rows })),
  });

  it.each([
    ['a negative variance', withCovariance([-1, 0, 0], [0, 1, 0], [0, 0, 1])],
    ['all variances negative', withCovariance([-1, 0, 0], [0, -1, 0], [0, 0, -1])],
    ['not symmetric', withCovariance([0.1, 0.5, 0], [0, 0.1, 0], [0, 0, 0.1])],
    ['a correlation above 1', withCovariance([0.1, 0.2, 0], [0.2, 0.1, 0], [0, 0, 0.1])],
    ['correlations that exclude each other', withCovariance([1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1])],
    [
      'shares of more than everything',
      { ...template, classes: template.classes.map((one) => ({ ...one, share: 0.6 })) },
    ],
    [
      'a negative density',
      { ...template, densities: template.densities.map((one) => ({ ...one, mean: [-0.5, 0.5, 0.2] })) },
    ],
    ['glass like tissue', { ...template, glassDensity: 50 }],
  ])('%s', (_what, changed) => {
    expect(() => parseTemplate(JSON.stringify(changed), 'x')).toThrow(
      expect.objectContaining({ code: 'TEMPLATE_INVALID' }),
    );
  });

  it('but not one with a class of a single colour, or of two stains that always occur together', () => {
    for (const covariance of [
      [
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
      ],
      [
        [0.01, 0.02, 0.03],
        [0.02, 0.04, 0.06],
        [0.03, 0.06, 0.09],
      ],
    ])
      expect(() => parseTemplate(JSON.stringify(withCovariance(...covariance)), 'x')).not.toThrow();
  });
});

it('a template with another number of classes is refused, saying so', () => {
  const template = templateOf('a');
  const { name, version, sha256 } = template.model;
  expect(() =>
    requireTemplateOf(template, { name, version, sha256, classes: 4, templatesOf: [sha256] }),
  ).toThrow('has 3 classes, and the network "reference" has 4');
});

it('a template of another network is refused, naming the versions of both', () => {
  const template = templateOf('a');
  const { name, version, sha256 } = template.model;
  const model = { name, version: 'own-1a2b', classes: template.classes.length };
  expect(() => requireTemplateOf(template, { ...model, sha256, templatesOf: [sha256] })).not.toThrow();
  const other = 'b'.repeat(64);
  expect(() => requireTemplateOf(template, { ...model, sha256: other, templatesOf: [other] })).toThrow(
    `Template "a" was made for the network "${name}" ${version}, not for "${name}" own-1a2b; make it again.`,
  );
});

const uid = fc
  .array(fc.integer({ min: 0, max: 10 ** 9 }), { minLength: 4, maxLength: 7 })
  .map((numbers) => numbers.join('.'));
const around = fc.constantFrom('', ' ', '(', ')', 'series ', ', region 3 x 4 at 5, 6', 'x', '"', 'urn:oid:');

it('no UID passes through the text on the origin of a template', () => {
  fc.assert(
    fc.property(around, uid, around, (before, found, after) => {
      expect(publicOrigin(before + found + after)).not.toContain(found);
    }),
  );
  expect(publicOrigin('atlas of 2019, v1.2.3, pictures 4.png and 5.tif')).toBe(
    'atlas of 2019, v1.2.3, pictures 4.png and 5.tif',
  );
});

it('text of users contains nothing that controls a terminal or changes the direction of text', () => {
  const text = plainText(200);
  for (const bad of ['\u200b', '\u2060', '\ufeff', '\ud800', '\u3164', '\u{e0041}'])
    expect(text.safeParse(`a${bad}b`).success, JSON.stringify(bad)).toBe(false);
  for (const [name, isSeen] of [
    ['  ', false],
    ['\u200d', false],
    ['\u0301', false],
    ['1', true],
    ['🔬', true],
    ['\u0646\u200c\u0647', true],
  ] as const)
    expect(plainName(200).safeParse(name).success, JSON.stringify(name)).toBe(isSeen);
  for (const bad of ['\n', '\r', '\u0000', '\u001b[2J', '\u009b', '\u2028', '\u202e', '\u2066', '\u200f'])
    expect(text.safeParse(`a${bad}b`).success, JSON.stringify(bad)).toBe(false);
  for (const good of ['', 'Ärzte “Lab” 2, 染色, 🔬', "O'Neill <b>"])
    expect(text.safeParse(good).success).toBe(true);
});
