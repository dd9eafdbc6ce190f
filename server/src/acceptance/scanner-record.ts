/** From the slides of a scanner to its figures. */
import type { AcceptanceContent, ScannerRecord, SlideRecord } from './document.ts';
import { driftOf } from './drift.ts';
import { proportionOf } from './proportion.ts';
import { isSameDevice, type Scanner, scannerKey } from './scanner.ts';

export interface ScannerSlides {
  readonly number: number;
  readonly scanner: Scanner;
  /** Series of the scanner among those looked at. */
  readonly found: number;
  readonly slides: readonly SlideRecord[];
}

/** @param baseline the earlier acceptance with which it is compared, if any */
export function scannerRecord(
  { number, scanner, found, slides }: ScannerSlides,
  baseline: Pick<AcceptanceContent, 'scanners'> | undefined,
  seed: number,
): ScannerRecord {
  const known = slides.filter(({ state }) => state !== 'FAILED');
  const refused = known.filter(({ state }) => state === 'REFUSED');
  const codes = Map.groupBy(refused, ({ code }) => code!);
  const distances = slides.flatMap(({ distance }) => distance ?? []);
  const median = (pick: (one: (typeof distances)[number]) => number | null): number | null =>
    medianOf(distances.map(pick));
  return {
    number,
    scanner,
    found,
    refused: proportionOf(refused.length, known.length),
    failed: slides.length - known.length,
    refusals: Object.fromEntries([...codes].map(([code, some]) => [code, some.length])),
    score: medianOf(slides.map((slide) => slide.score)),
    distance: {
      before: { nuclei: median((one) => one.before.nuclei), stroma: median((one) => one.before.stroma) },
      after: { nuclei: median((one) => one.after.nuclei), stroma: median((one) => one.after.stroma) },
    },
    drift: baseline ? driftSince(scanner, slides, baseline.scanners, seed) : null,
    slides: [...slides],
  };
}

/** With the same device: if its software was another then, that is when a drift is to be expected. */
function driftSince(
  scanner: Scanner,
  slides: readonly SlideRecord[],
  earlier: readonly ScannerRecord[],
  seed: number,
): ScannerRecord['drift'] {
  const exact = earlier.find((one) => scannerKey(one.scanner) === scannerKey(scanner));
  const then = exact ?? earlier.find((one) => isSameDevice(one.scanner, scanner));
  if (!then) return null;
  const stainsOf = (some: readonly SlideRecord[]) => some.flatMap(({ stain }) => stain?.before ?? []);
  return {
    softwareBefore: exact ? null : [...then.scanner.softwareVersions],
    refusedBefore: then.refused,
    found: driftOf(stainsOf(then.slides), stainsOf(slides), seed) ?? null,
  };
}

export function medianOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) return null;
  return (known[(known.length - 1) >> 1]! + known[known.length >> 1]!) / 2;
}
