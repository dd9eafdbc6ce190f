import { describe, expect, it } from 'vitest';
import {
  coloursByGlass,
  isDoubtful,
  type NativeFrame,
  withColours,
} from '../../../core/src/codec/native-colours.ts';
import { frameFormat, testFrame, toPlanes, toYbrFull } from '../../codec/frames.ts';

const NATIVE = '1.2.840.10008.1.2.1';

/** Tissue, with a strip of glass that is tinted like that of cameras. */
function slide(glassRows: number): Uint8Array {
  const rgb = testFrame(64, 64);
  for (let i = 0; i < glassRows * 64; i++) rgb.set([245, 241, 232], i * 3);
  return rgb;
}

async function* frames(all: readonly Uint8Array[], planarConfiguration: number): AsyncIterable<NativeFrame> {
  for (const bytes of all) yield { format: { planarConfiguration }, bytes };
}

describe('colours of uncompressed samples', () => {
  it('are determined from the glass, by pixel and by plane', async () => {
    const rgb = slide(4);
    expect(await coloursByGlass(frames([rgb], 0))).toBe('RGB');
    expect(await coloursByGlass(frames([toPlanes(rgb)], 1))).toBe('RGB');
    expect(await coloursByGlass(frames([toYbrFull(rgb)], 0))).toBe('YBR_FULL');
    expect(await coloursByGlass(frames([toPlanes(toYbrFull(rgb))], 1))).toBe('YBR_FULL');
  });

  it('are not guessed without glass', async () => {
    expect(await coloursByGlass(frames([slide(0)], 0))).toBeUndefined();
    expect(await coloursByGlass(frames([], 0))).toBeUndefined();
  });

  it('are determined from the first frames, however many there are', async () => {
    let read = 0;
    async function* endless(): AsyncIterable<NativeFrame> {
      for (; read < 1000; read++) yield { format: { planarConfiguration: 0 }, bytes: slide(4) };
    }
    expect(await coloursByGlass(endless())).toBe('RGB');
    expect(read).toBeLessThan(100);
  });

  it('are refused if neither glass nor name determines them', () => {
    const named = (photometricInterpretation: string) =>
      frameFormat(NATIVE, 3, 3, { photometricInterpretation });
    expect(withColours(named('YBR_ICT'), 'RGB').photometricInterpretation).toBe('RGB');
    expect(withColours(named('YBR_FULL'), undefined).photometricInterpretation).toBe('YBR_FULL');
    expect(() => withColours(named('YBR_FULL_422'), undefined)).toThrow(/no glass/);
  });

  it('are in doubt if a YCbCr name is given to as many samples as RGB has', () => {
    const named = (photometricInterpretation: string) =>
      frameFormat(NATIVE, 3, 3, { photometricInterpretation });
    expect(isDoubtful(named('YBR_FULL_422'), 27)).toBe(true);
    expect(isDoubtful(named('YBR_FULL_422'), 28)).toBe(true);
    expect(isDoubtful(named('YBR_FULL_422'), 18)).toBe(false);
    expect(isDoubtful(named('RGB'), 27)).toBe(false);
  });
});
