/** How often properties are tried: STAIN_PROPERTY_RUNS times as often as usual, for `.ci/full`. */
const factor = Number(process.env['STAIN_PROPERTY_RUNS'] ?? 1);

export function runs(usual: number): number {
  return Math.ceil(usual * factor);
}
