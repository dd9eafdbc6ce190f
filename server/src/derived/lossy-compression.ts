/** Lossy compression history (PS3.3 C.7.6.1.1.5): an image that was once lossy never becomes lossless again. */
import type { Attributes, DataSet, Element } from '../dicom/dataset.ts';
import { isEncodable } from '../dicom/element-value.ts';

/** The history in a header so far, as stored; for an image made from another one, use that one's header. */
export function lossyHistory(image: DataSet): Element[] {
  return ['LossyImageCompression', 'LossyImageCompressionRatio', 'LossyImageCompressionMethod'].flatMap(
    (keyword) => image.element(keyword) ?? [],
  );
}

/**
 * @param ratio uncompressed to compressed size of the derived frames; undefined if they are lossless
 * @param sourceIsLossy according to the source's transfer syntax: its own attribute is sometimes missing or wrong
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
  // Each ratio belongs to one method; a value without its counterpart says nothing, and neither does an invalid one.
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
