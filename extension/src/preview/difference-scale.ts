/** Colours of the difference view: from black (equal) over violet and orange to pale yellow. */

/** Differences from here on have the last colour; about 2 is just noticeable. */
export const LARGEST_DIFFERENCE = 20;

const STOPS = [
  [0, 0, 4],
  [87, 16, 110],
  [188, 55, 84],
  [249, 142, 9],
  [252, 255, 164],
] as const;

/** 8-bit RGB of a CIEDE2000 difference. */
export function differenceColour(difference: number): readonly [number, number, number] {
  const at = (Math.min(difference, LARGEST_DIFFERENCE) / LARGEST_DIFFERENCE) * (STOPS.length - 1);
  const i = Math.min(STOPS.length - 2, Math.floor(at));
  const mix = (c: 0 | 1 | 2): number =>
    Math.round(STOPS[i]![c] + (at - i) * (STOPS[i + 1]![c] - STOPS[i]![c]));
  return [mix(0), mix(1), mix(2)];
}

export const differenceGradient = `linear-gradient(90deg, ${STOPS.map((stop) => `rgb(${stop.join(',')})`).join(', ')})`;
