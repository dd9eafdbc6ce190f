/** DAB in place of eosin: it absorbs blue most (Ruifrok and Johnston 2001). */
export function brown(rgb: Uint8Array): Uint8Array {
  const result = rgb.slice();
  for (let at = 0; at < rgb.length; at += 3) {
    const [r, g, b] = [...rgb.subarray(at, at + 3)].map((level) => -Math.log(level / 243)) as [
      number,
      number,
      number,
    ];
    const eosin = Math.max(0, g - r);
    const density = [r + 0.35 * eosin, r + 0.7 * eosin, Math.max(b, 0.5 * r) + eosin];
    result.set(
      density.map((d) => Math.min(255, Math.round(243 * Math.exp(-d)))),
      at,
    );
  }
  return result;
}
