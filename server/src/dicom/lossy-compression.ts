/** Lossy compression history (PS3.3 C.7.6.1.1.5): once lossy, an image never becomes lossless again. */
import type { Attributes, DataSet } from './dataset.ts';
import { isEncodable } from './element-value.ts';

/** What a header says of it so far: of an image whose pixels are another's it is that one's. */
export function lossyHistory(image: DataSet): Attributes {
  const keywords = ['LossyImageCompression', 'LossyImageCompressionRatio', 'LossyImageCompressionMethod'];
  return Object.fromEntries(
    keywords.filter((keyword) => image.has(keyword)).map((keyword) => [keyword, image.strings(keyword)]),
  );
}

/**
 * @param ratio uncompressed to compressed size of the derived frames; undefined where they are lossless
 * @param sourceIsLossy by the source's transfer syntax: its own tag is sometimes missing or wrong
 */
export function lossyCompression(
  source: DataSet,
  ratio: number | undefined,
  sourceIsLossy: boolean,
): Attributes {
  if (ratio === undefined && sourceIsLossy) return { LossyImageCompression: '01' };
  if (ratio === undefined)
    return source.string('LossyImageCompression') ? {} : { LossyImageCompression: '00' };
  const ratios = source.strings('LossyImageCompressionRatio').filter((text) => text !== '');
  const methods = source.strings('LossyImageCompressionMethod').filter((text) => text !== '');
  // One ratio belongs to one method; what has no partner says nothing, nor does what no header may hold.
  const known = ratios
    .slice(0, methods.length)
    .map((text, i) => ({ ratio: text, method: methods[i]! }))
    .filter((step) => isEncodable('DS', step.ratio) && isEncodable('CS', step.method));
  return {
    LossyImageCompression: '01',
    LossyImageCompressionRatio: [...known.map((step) => step.ratio), String(Number(ratio.toPrecision(4)))],
    LossyImageCompressionMethod: [...known.map((step) => step.method), 'ISO_10918_1'],
  };
}
