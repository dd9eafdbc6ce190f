/**
 * Optical path of the derived image (PS3.3 C.8.12.5). It has its own identifier: otherwise viewers that group levels by
 * frame of reference, container and optical path would merge source and derived levels.
 */

import { DataSet } from '../dicom/dataset.ts';
import { BRIGHTFIELD_ILLUMINATION, WHITE_LIGHT } from './codes.ts';

const MAX_IDENTIFIER = 16;

type Series = { readonly seriesUuid: string };

/**
 * Distinct for every series: a slide that was normalised twice has two derived pyramids with the same frame of
 * reference. ASCII, whatever the character set of the source.
 */
export function derivedIdentifier(source: string, { seriesUuid }: Series): string {
  const suffix = `-SN${seriesUuid.slice(0, 4)}`;
  return source.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_IDENTIFIER - suffix.length) + suffix;
}

/**
 * Optical Path Sequence with new identifiers and the profile of the output pixels. A source without the sequence gets
 * one: the profile has no other place, and only brightfield slides get here.
 */
export function derivedOpticalPaths(
  source: DataSet,
  series: Series,
  iccProfile: Uint8Array,
): readonly DataSet[] {
  const paths = source.items('OpticalPathSequence');
  const stated =
    paths.length > 0
      ? paths
      : [
          DataSet.of({
            IlluminationTypeCodeSequence: [BRIGHTFIELD_ILLUMINATION],
            IlluminationColorCodeSequence: [WHITE_LIGHT],
          }),
        ];
  return stated.map((path) =>
    renamed(path, '1', series).with({ ICCProfile: iccProfile, ColorSpace: 'SRGB' }),
  );
}

/** A functional group item whose Optical Path Identification refers to the new identifiers. */
export function withDerivedIdentifiers(group: DataSet, series: Series): DataSet {
  const references = group.items('OpticalPathIdentificationSequence');
  if (references.length === 0) return group;
  return group.with({
    OpticalPathIdentificationSequence: references.map((item) => renamed(item, '1', series)),
  });
}

function renamed(item: DataSet, fallback: string, series: Series): DataSet {
  return item.with({
    OpticalPathIdentifier: derivedIdentifier(item.string('OpticalPathIdentifier') ?? fallback, series),
  });
}
