import { describe, expect, it } from 'vitest';
import { coloursByGlass, isDoubtful } from '../../server/src/codec/native-colours.ts';
import { frameFormat, testFrame, toPlanes, toYbrFull } from './frames.ts';

const NATIVE = '1.2.840.10008.1.2.1';

/** Tissue, with a strip of glass that is tinted as cameras tint it. */
function slide(glassRows: number): Uint8Array {
  const rgb = testFrame(64, 64);
  for (let i = 0; i < glassRows * 64; i++) rgb.set([245, 241, 232], i * 3);
  return rgb;
}

describe('colours of uncompressed samples', () => {
  it('are told by the glass, by pixel and by plane', () => {
    const rgb = slide(4);
    expect(coloursByGlass([rgb], 0)).toBe('RGB');
    expect(coloursByGlass([toPlanes(rgb)], 1)).toBe('RGB');
    expect(coloursByGlass([toYbrFull(rgb)], 0)).toBe('YBR_FULL');
    expect(coloursByGlass([toPlanes(toYbrFull(rgb))], 1)).toBe('YBR_FULL');
  });

  it('are not guessed where there is none', () => {
    expect(coloursByGlass([slide(0)], 0)).toBeUndefined();
    expect(coloursByGlass([], 0)).toBeUndefined();
  });

  it('are in doubt where a name of YCbCr stands over as many samples as RGB has', () => {
    const named = (photometricInterpretation: string) =>
      frameFormat(NATIVE, 3, 3, { photometricInterpretation });
    expect(isDoubtful(named('YBR_FULL_422'), 27)).toBe(true);
    expect(isDoubtful(named('YBR_FULL_422'), 28)).toBe(true);
    expect(isDoubtful(named('YBR_FULL_422'), 18)).toBe(false);
    expect(isDoubtful(named('RGB'), 27)).toBe(false);
  });
});
