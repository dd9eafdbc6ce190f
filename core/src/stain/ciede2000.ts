/** CIEDE2000 colour difference (Sharma, Wu, Dalal 2005), sRGB under D65. */

export type Lab = readonly [L: number, a: number, b: number];

const LINEAR = Float64Array.from({ length: 256 }, (_, v) =>
  v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
);
const curve = (t: number): number => (t > 216 / 24389 ? Math.cbrt(t) : ((24389 / 27) * t + 16) / 116);

/** CIELAB of an 8-bit sRGB colour. */
export function labOf(r: number, g: number, b: number): Lab {
  const [R, G, B] = [LINEAR[r]!, LINEAR[g]!, LINEAR[b]!];
  const x = curve((0.4124564 * R + 0.3575761 * G + 0.1804375 * B) / 0.95047);
  const y = curve(0.2126729 * R + 0.7151522 * G + 0.072175 * B);
  const z = curve((0.0193339 * R + 0.119192 * G + 0.9503041 * B) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const DEGREE = Math.PI / 180;
const CHROMA_25 = 25 ** 7;
const weight = (c: number): number => Math.sqrt(c ** 7 / (c ** 7 + CHROMA_25));

export function ciede2000([L1, a1, b1]: Lab, [L2, a2, b2]: Lab): number {
  const g = 0.5 * (1 - weight((Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2));
  const [A1, A2] = [a1 * (1 + g), a2 * (1 + g)];
  const [C1, C2] = [Math.hypot(A1, b1), Math.hypot(A2, b2)];
  const hue = (b: number, a: number): number =>
    a === 0 && b === 0 ? 0 : (Math.atan2(b, a) / DEGREE + 360) % 360;
  const [h1, h2] = [hue(b1, A1), hue(b2, A2)];
  const isGrey = C1 * C2 === 0;
  let dh = isGrey ? 0 : h2 - h1;
  if (dh > 180) dh -= 360;
  if (dh < -180) dh += 360;
  let mean = h1 + h2;
  if (!isGrey) {
    if (Math.abs(h1 - h2) <= 180) mean /= 2;
    else mean = mean < 360 ? (mean + 360) / 2 : (mean - 360) / 2;
  }
  const [L, C] = [(L1 + L2) / 2, (C1 + C2) / 2];
  const cos = (degrees: number): number => Math.cos(degrees * DEGREE);
  const t =
    1 - 0.17 * cos(mean - 30) + 0.24 * cos(2 * mean) + 0.32 * cos(3 * mean + 6) - 0.2 * cos(4 * mean - 63);
  const l50 = (L - 50) ** 2;
  const dL = (L2 - L1) / (1 + (0.015 * l50) / Math.sqrt(20 + l50));
  const dC = (C2 - C1) / (1 + 0.045 * C);
  const dH = (2 * Math.sqrt(C1 * C2) * Math.sin((dh / 2) * DEGREE)) / (1 + 0.015 * C * t);
  const rotation = -Math.sin(60 * Math.exp(-(((mean - 275) / 25) ** 2)) * DEGREE) * 2 * weight(C);
  return Math.sqrt(dL ** 2 + dC ** 2 + dH ** 2 + rotation * dC * dH);
}
