/** Acceptances as plain values, without any slide. */
import {
  type AcceptanceDocument,
  newDocument,
  type SlideRecord,
} from '../../server/src/acceptance/document.ts';
import type { Scanner } from '../../server/src/acceptance/scanner.ts';
import { scannerRecord } from '../../server/src/acceptance/scanner-record.ts';
import type { StainFigures } from '../../server/src/acceptance/stain-figures.ts';
import { type Cast, castDensity } from '../support/cast.ts';

export const ALPHA: Scanner = {
  manufacturer: 'Maker',
  model: 'Alpha',
  serialNumber: '1',
  station: null,
  softwareVersions: ['1.0'],
};
export const HASH = { template: 'a'.repeat(64), model: 'b'.repeat(64) };

type Triple = [number, number, number];

/** Slides of one laboratory: amounts of stain that differ by about a tenth, and each slide's own noise. */
export function stains(count: number, random: () => number, cast: Cast = {}, spread = 1): StainFigures[] {
  const normal = (): number => random() + random() + random() + random() - 2;
  return Array.from({ length: count }, () => {
    const [h, e] = [1 + 0.1 * spread * normal(), 1 + 0.1 * spread * normal()];
    const figures = (density: Triple) => ({
      share: 0.3,
      mean: castDensity(density.map((value) => value + 0.01 * normal()) as Triple, cast),
      sd: [0.1, 0.1, 0.1] as Triple,
    });
    return {
      nuclei: figures([0.9 * h, 1.1 * h, 0.5 * h]),
      stroma: figures([0.15 * e, 0.5 * e, 0.2 * e]),
      glassDensity: 0.03,
    };
  });
}

export function slide(number: number, change: Partial<SlideRecord> = {}): SlideRecord {
  return {
    number,
    state: 'FITTED',
    code: null,
    notes: [],
    score: 0.1,
    colourPolicy: 'sRGB',
    stain: null,
    distance: null,
    ...change,
  };
}

export function acceptance(
  scanners: readonly Scanner[] = [ALPHA],
  slides: readonly SlideRecord[] = [slide(1)],
): AcceptanceDocument {
  return newDocument({
    createdAt: '2026-11-26T12:00:00.000Z',
    software: ['stain-normalization 0.9.0'],
    model: { name: 'fast', version: '1', sha256: HASH.model },
    template: { id: 'he-pink-violet', sha256: HASH.template },
    transfer: 'linear',
    seed: 1,
    perScanner: 20,
    series: { found: 1, read: 1 },
    baseline: null,
    scanners: scanners.map((scanner, i) =>
      scannerRecord({ number: i + 1, scanner, found: slides.length, slides }, undefined, 1),
    ),
  });
}
