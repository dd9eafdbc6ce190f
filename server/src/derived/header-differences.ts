/**
 * The attributes in which a derived header may differ from its source, and why. Everything else is the same, byte for
 * byte; test/derived/derived-series.test.ts compares both ways.
 */
import { DROPPED_EQUIPMENT, MOVED_EQUIPMENT } from './equipment.ts';
import { NOT_COPIED } from './not-copied.ts';

export type DifferenceKind = 'added' | 'changed' | 'removed';

export interface HeaderDifference {
  /**
   * Keywords from the outside in, separated by periods; `private` stands for every element of an odd group. A sequence
   * that is replaced as a whole has a single entry.
   */
  readonly path: string;
  readonly kinds: readonly DifferenceKind[];
  readonly reason: string;
}

const SET: readonly DifferenceKind[] = ['added', 'changed'];
const SHARED = 'SharedFunctionalGroupsSequence';
const PER_FRAME = 'PerFrameFunctionalGroupsSequence';
const FRAME_TYPE = 'WholeSlideMicroscopyImageFrameTypeSequence';

function set(reason: string, ...paths: readonly string[]): HeaderDifference[] {
  return paths.map((path) => ({ path, kinds: SET, reason }));
}

export const allowedHeaderDifferences: readonly HeaderDifference[] = [
  ...set(
    'a new instance in a new series',
    'SOPInstanceUID',
    'SeriesInstanceUID',
    'SeriesNumber',
    'InstanceNumber',
  ),
  ...set('a new pyramid', 'PyramidUID'),
  ...set('says what was done', 'SeriesDescription', 'ImageComments', 'ContentQualification'),
  ...set(
    'time of processing',
    ...[
      'InstanceCreationDate',
      'InstanceCreationTime',
      'SeriesDate',
      'SeriesTime',
      'ContentDate',
      'ContentTime',
    ],
  ),
  ...set('derived, not original', 'ImageType', `${SHARED}.${FRAME_TYPE}`, `${PER_FRAME}.${FRAME_TYPE}`),
  ...set(
    'what it was derived from, and how',
    ...['DerivationDescription', 'DerivationCodeSequence', 'SourceImageSequence', 'RelatedSeriesSequence'],
    ...[
      'ReferencedSeriesSequence',
      'CodingSchemeIdentificationSequence',
      `${SHARED}.DerivationImageSequence`,
    ],
  ),
  {
    path: `${PER_FRAME}.DerivationImageSequence`,
    kinds: ['removed'],
    reason: 'the derivation is shared by all frames',
  },
  { path: SHARED, kinds: ['added'], reason: 'holds the derivation' },
  { path: PER_FRAME, kinds: ['changed'], reason: 'frames of all parts of a concatenation' },
  ...set(
    'the equipment is this product, and the scanner contributed',
    ...['Manufacturer', 'ManufacturerModelName', 'DeviceSerialNumber', 'SoftwareVersions'],
    'ContributingEquipmentSequence',
  ),
  ...[...MOVED_EQUIPMENT, ...DROPPED_EQUIPMENT].map(
    (path): HeaderDifference => ({
      path,
      kinds: ['removed'],
      reason: 'describes the scanner',
    }),
  ),
  ...set(
    'the pixels are encoded anew',
    ...['SamplesPerPixel', 'PhotometricInterpretation', 'PlanarConfiguration', 'NumberOfFrames'],
    ...['HighBit', 'PixelRepresentation'],
    ...['LossyImageCompression', 'LossyImageCompressionRatio', 'LossyImageCompressionMethod'],
  ),
  ...set('labels are never normalised', 'BurnedInAnnotation'),
  { path: 'TotalPixelMatrixFocalPlanes', kinds: SET, reason: 'TILED_FULL needs it' },
  { path: 'NumberOfOpticalPaths', kinds: SET, reason: 'TILED_FULL needs it' },
  { path: 'OpticalPathSequence', kinds: ['added'], reason: 'the ICC profile must be somewhere' },
  ...set(
    'an optical path of its own, with sRGB pixels',
    ...['OpticalPathIdentifier', 'ICCProfile', 'ColorSpace'].map(
      (keyword) => `OpticalPathSequence.${keyword}`,
    ),
    `${SHARED}.OpticalPathIdentificationSequence.OpticalPathIdentifier`,
    `${PER_FRAME}.OpticalPathIdentificationSequence.OpticalPathIdentifier`,
  ),
  ...NOT_COPIED.map(
    ({ keyword, reason }): HeaderDifference => ({ path: keyword, kinds: ['removed'], reason }),
  ),
  {
    path: 'private',
    kinds: ['removed', 'added'],
    reason: "the scanner's private elements go, a block of our own comes",
  },
];
