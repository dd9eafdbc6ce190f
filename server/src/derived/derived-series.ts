/**
 * The derived image of a level or thumbnail: the source's header, changed only where it is no longer true.
 * `header-differences.ts` lists what may differ; a test checks that the two agree.
 */
import { StainError } from '../../../core/src/errors.ts';
import { type Attributes, type DataSet, isSequence } from '../dicom/dataset.ts';
import type { Level } from '../slide/types.ts';
import { identifyCodingScheme } from './codes.ts';
import { derivationImage, seriesDescription, seriesReferences, WARNING } from './derivation.ts';
import type { DerivationRecord } from './derivation-record.ts';
import { derivedUids } from './derived-uids.ts';
import { withOurEquipment } from './equipment.ts';
import { derivedFunctionalGroups } from './functional-groups.ts';
import { imageTypeOf } from './image-type.ts';
import { lossyCompression, lossyHistory } from './lossy-compression.ts';
import { withoutSourceOnly } from './not-copied.ts';
import { derivedOpticalPaths } from './optical-path.ts';
import { privateBlock } from './private-block.ts';
import { processingTime } from './processing-time.ts';

export type { DerivationRecord } from './derivation-record.ts';

const MAX_COMMENT_BYTES = 10240;

export interface DeriveInput {
  readonly level: Level;
  /** The level from which it was averaged; undefined if its own pixels were mapped. */
  readonly builtFrom?: Level;
  readonly derivation: DerivationRecord;
  readonly instanceNumber: number;
  readonly sopInstanceUid: string;
  /** Ratio of uncompressed to compressed size of the frames, if they are compressed with loss. */
  readonly lossyRatio: number | undefined;
  /** Whether the source's frames were compressed with loss, according to their transfer syntax. */
  readonly sourceIsLossy: boolean;
}

/** Header of the derived instance, without pixel data. The parts of a concatenation become one instance. */
export function deriveLevel({
  level,
  builtFrom,
  derivation,
  instanceNumber,
  sopInstanceUid,
  lossyRatio,
  sourceIsLossy,
}: DeriveInput): DataSet {
  const sources = level.instances.map(({ dataset }) => withoutSourceOnly(dataset));
  const source = sources[0];
  if (!source) throw new StainError('INTERNAL', 'A level without instances cannot be derived.');
  const uids = derivedUids(derivation.identity);
  const { date, time } = processingTime(
    derivation.identity.createdAt,
    source.string('TimezoneOffsetFromUTC'),
  );
  const imageType = imageTypeOf(level.role, builtFrom ? undefined : source.strings('ImageType')[3]);
  const pixelsFrom = builtFrom ? builtFrom.instances.map(({ dataset }) => dataset) : sources;
  const derived = derivationImage(pixelsFrom, builtFrom !== undefined, derivation);

  return identifyCodingScheme(withOurEquipment(source, derivation))
    .withElements([...derived.elements, ...(builtFrom ? lossyHistory(pixelsFrom[0]!) : [])])
    .with({
      ImageType: imageType,
      InstanceCreationDate: date,
      InstanceCreationTime: time,
      SOPInstanceUID: sopInstanceUid,
      SeriesDate: date,
      SeriesTime: time,
      ContentDate: date,
      ContentTime: time,
      SeriesDescription: seriesDescription(derivation),
      ContentQualification: 'RESEARCH',
      SeriesInstanceUID: uids.series,
      SeriesNumber: derivation.seriesNumber,
      InstanceNumber: instanceNumber,
      PyramidUID: uids.pyramid,
      ...seriesReferences(source, pixelsFrom, derivation.identity.supersedes),
      ...pixelAttributes(level, derivation),
      ...lossyCompression(pixelsFrom[0]!, lossyRatio, sourceIsLossy),
      ImageComments: commentOf(source),
      // If the source says YES, that stays: text in the pixels does not go away.
      ...(source.string('BurnedInAnnotation') !== 'YES' && { BurnedInAnnotation: 'NO' }),
      ...tileOrganization(source),
      OpticalPathSequence: derivedOpticalPaths(source, derivation.identity, derivation.iccProfile),
      ...derivedFunctionalGroups(sources, imageType, derived, derivation.identity),
    })
    .withElements(privateBlock(derivation));
}

/** YBR_RCT is the reversible colour transform of JPEG 2000. */
export const PHOTOMETRIC_INTERPRETATION = {
  jpeg: 'YBR_FULL_422',
  htj2k: 'YBR_RCT',
  jpeg2000: 'YBR_RCT',
} as const;

/** The codecs write interleaved samples of 8 bits, unsigned. */
function pixelAttributes({ frames }: Level, { encoding }: DerivationRecord): Attributes {
  return {
    SamplesPerPixel: 3,
    PhotometricInterpretation: PHOTOMETRIC_INTERPRETATION[encoding],
    PlanarConfiguration: 0,
    HighBit: 7,
    PixelRepresentation: 0,
    NumberOfFrames: frames.length,
  };
}

/** TILED_FULL is defined only together with these attributes (PS3.3 C.7.6.17.3), and sources omit them. */
function tileOrganization(source: DataSet): Attributes {
  if (source.string('DimensionOrganizationType') !== 'TILED_FULL') return {};
  return {
    ...(source.number('TotalPixelMatrixFocalPlanes') === undefined && { TotalPixelMatrixFocalPlanes: 1 }),
    ...(source.number('NumberOfOpticalPaths') === undefined && { NumberOfOpticalPaths: 1 }),
  };
}

/** The warning, followed by the source's comment, byte for byte. */
function commentOf(source: DataSet): Uint8Array {
  const element = source.element('ImageComments');
  const warning = Buffer.from(WARNING, 'latin1');
  if (!element || isSequence(element) || element.bytes.length === 0) return spacePadded(warning);
  const whole = Buffer.concat([warning, Buffer.from('\r\n', 'latin1'), element.bytes]);
  return spacePadded(whole.length > MAX_COMMENT_BYTES ? warning : whole);
}

function spacePadded(text: Buffer): Uint8Array {
  return text.length % 2 === 0 ? text : Buffer.concat([text, Buffer.from(' ')]);
}
