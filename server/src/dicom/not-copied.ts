/** What of the source does not hold for the derived image and is left out. */

import type { DataSet } from './dataset.ts';
import { isPrivate } from './dictionary.ts';
import { type Element, isSequence } from './element.ts';

/** Attributes left out, with the reason. Private groups go too, at every depth: they are the scanner's. */
export const NOT_COPIED: readonly { readonly keyword: string; readonly reason: string }[] = [
  ...because('the icon and the extreme pixel values show the source pixels', [
    'IconImageSequence',
    'SmallestImagePixelValue',
    'LargestImagePixelValue',
  ]),
  ...because('offsets are those of the source codestreams', [
    'ExtendedOffsetTable',
    'ExtendedOffsetTableLengths',
  ]),
  ...because('the parts of a concatenation are merged into one instance', [
    'SOPInstanceUIDOfConcatenationSource',
    'ConcatenationUID',
    'InConcatenationNumber',
    'InConcatenationTotalNumber',
    'ConcatenationFrameOffsetNumber',
  ]),
  ...because('a signature is of the source data set', ['MACParametersSequence', 'DigitalSignaturesSequence']),
  ...because('the alternate is one of the source image', ['AlternateRepresentationSequence']),
  ...because('the performed procedure step made the source, not this series', [
    'PerformedProcedureStepStartDate',
    'PerformedProcedureStepStartTime',
    'PerformedProcedureStepEndDate',
    'PerformedProcedureStepEndTime',
    'PerformedProcedureStepStatus',
    'PerformedProcedureStepID',
    'PerformedProcedureStepDescription',
    'ReferencedPerformedProcedureStepSequence',
  ]),
  ...because('it names what created the source instance', ['InstanceCreatorUID']),
  ...because('the profile is in the Optical Path Sequence', ['ICCProfile', 'ColorSpace']),
];

function because(reason: string, keywords: readonly string[]): { keyword: string; reason: string }[] {
  return keywords.map((keyword) => ({ keyword, reason }));
}

/** The source without what is not copied. */
export function withoutSourceOnly(source: DataSet): DataSet {
  return withoutPrivate(source.without(...NOT_COPIED.map(({ keyword }) => keyword)));
}

/** Copies only what holds a private element: per-frame groups of a large slide mostly hold none. */
function withoutPrivate(dataSet: DataSet): DataSet {
  let changed = false;
  const kept: Element[] = [];
  for (const element of dataSet.elements) {
    if (isPrivate(element.tag)) {
      changed = true;
      continue;
    }
    const items = isSequence(element) ? element.items.map(withoutPrivate) : [];
    const nested = isSequence(element) && items.some((item, i) => item !== element.items[i]);
    changed ||= nested;
    kept.push(nested && isSequence(element) ? { ...element, items } : element);
  }
  return changed ? dataSet.filter(() => false).withElements(kept) : dataSet;
}
