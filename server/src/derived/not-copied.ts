/** Attributes of the source that do not hold for the derived image, and are omitted. */

import { type DataSet, type Element, isSequence, type SequenceElement } from '../dicom/dataset.ts';
import { isPrivate } from '../dicom/dictionary.ts';
import { mapItems } from '../dicom/items.ts';

/** Omitted attributes, with the reason. Private groups are removed too, at every depth: they belong to the scanner. */
export const NOT_COPIED: readonly { readonly keyword: string; readonly reason: string }[] = [
  ...because('the icon and the extreme pixel values show the source pixels', [
    'IconImageSequence',
    'SmallestImagePixelValue',
    'LargestImagePixelValue',
  ]),
  ...because('offsets and lengths are those of the source codestreams', [
    'ExtendedOffsetTable',
    'ExtendedOffsetTableLengths',
    'EncapsulatedPixelDataValueTotalLength',
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

/** The source without the attributes that are not copied. */
export function withoutSourceOnly(source: DataSet): DataSet {
  return withoutPrivate(source.without(...NOT_COPIED.map(({ keyword }) => keyword)));
}

/** Returns the same data set if it has no private elements. */
function withoutPrivate(dataSet: DataSet): DataSet {
  let changed = false;
  const kept: Element[] = [];
  for (const element of dataSet.elements) {
    if (isPrivate(element.tag)) {
      changed = true;
      continue;
    }
    const cleaned = isSequence(element) ? cleanedSequence(element) : element;
    changed ||= cleaned !== element;
    kept.push(cleaned);
  }
  return changed ? dataSet.filter(() => false).withElements(kept) : dataSet;
}

/** A sequence of very many items is not inspected beforehand, so this always returns a new one. */
function cleanedSequence(element: SequenceElement): SequenceElement {
  const items = mapItems(element.items, withoutPrivate);
  const isSame = Array.isArray(items) && items.every((item, i) => item === element.items.at(i));
  return isSame ? element : { ...element, items };
}
