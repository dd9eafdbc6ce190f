import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ciede2000, labOf } from '../../../core/src/stain/ciede2000.ts';
import { colourDistance } from '../../../core/src/stain/colour-distance.ts';
import type { Stain } from '../../../core/src/stain/stain.ts';
import { linearTransfer, paperTransfer } from '../../../core/src/stain/transfer.ts';

const shipped = (id: string): Stain =>
  JSON.parse(
    readFileSync(new URL(`../../../models/onnx/templates/${id}.json`, import.meta.url), 'utf8'),
  ) as Stain;
const [magenta, violet] = [shipped('he-magenta'), shipped('he-violet')];
const withShares = (stain: Stain, shares: readonly number[]): Stain => ({
  ...stain,
  densities: stain.densities.map((item, k) => ({ ...item, share: shares[k]! })),
});

describe('the distance of colours', () => {
  it('is nothing between a stain and itself', () => {
    const transfer = linearTransfer(magenta, magenta);
    const { before, after } = colourDistance(magenta, magenta, transfer)!;
    expect(before).toBe(0);
    expect(after).toBeLessThan(1);
  });

  it('is large between two templates, and small after the transfer', () => {
    const { before, after } = colourDistance(magenta, violet, linearTransfer(magenta, violet))!;
    expect(before).toBeGreaterThan(5);
    expect(after!).toBeLessThan(before / 2);
  });

  it('is that of the colours of nuclei and stroma, by their shares of the slide', () => {
    const stroma = magenta.densities.length - 2;
    const onlyStroma = withShares(
      magenta,
      magenta.densities.map((_, k) => (k === stroma ? 0.5 : k > stroma ? 0.5 : 0)),
    );
    const rgb = ({ densities }: Stain) =>
      densities[stroma]!.mean.map((density) => Math.round(255 * Math.exp(-density))) as [
        number,
        number,
        number,
      ];
    const { before } = colourDistance(onlyStroma, violet, linearTransfer(onlyStroma, violet))!;
    expect(before).toBeCloseTo(ciede2000(labOf(...rgb(magenta)), labOf(...rgb(violet))), 6);
  });

  it('has no figure afterwards for a transfer that maps no colour by itself, and none without common tissue', () => {
    const names = magenta.densities.map((_, k) => `class ${k}`);
    expect(colourDistance(magenta, violet, paperTransfer(magenta, violet, names))).toEqual({
      before: colourDistance(magenta, violet, linearTransfer(magenta, violet))!.before,
      after: null,
    });
    const glass = withShares(
      magenta,
      magenta.densities.map((_, k) => (k === magenta.densities.length - 1 ? 1 : 0)),
    );
    expect(colourDistance(glass, violet, linearTransfer(glass, violet))).toBeUndefined();
  });
});
