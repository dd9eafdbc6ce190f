/**
 * The derived image of one level or thumbnail: the source's header with everything changed that is no longer
 * true, and nothing else. `header-differences.ts` lists what may differ; a test holds the two together.
 */
import { StainError } from '../errors.ts';
import type { Level } from '../slide/types.ts';
import { identifyCodingScheme } from './codes.ts';
import type { Attributes, DataSet } from './dataset.ts';
import { derivationImage, seriesDescription, seriesReferences, WARNING } from './derivation.ts';
import type { DerivationRecord } from './derivation-record.ts';
import { derivedUids } from './derived-uids.ts';
import { isSequence } from './element.ts';
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
  /** The level whose pixels it was averaged from; left out where its own were mapped. */
  readonly builtFrom?: Level;
  readonly derivation: DerivationRecord;
  readonly instanceNumber: number;
  readonly sopInstanceUid: string;
  /** Bytes of all encoded frames, for the compression ratio. */
  readonly encodedBytes: number;
  /** Whether the source's frames were compressed with loss, by their transfer syntax. */
  readonly sourceIsLossy: boolean;
}

/** Header of the derived instance, without pixel data. The parts of a concatenation become one instance. */
export function deriveLevel({
  level,
  builtFrom,
  derivation,
  instanceNumber,
  sopInstanceUid,
  encodedBytes,
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
  const lossyRatio = derivation.encoding === 'jpeg' ? uncompressedBytes(level) / encodedBytes : undefined;

  return identifyCodingScheme(withOurEquipment(source, derivation))
    .withElements(derived.elements)
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
      ...(builtFrom && lossyHistory(pixelsFrom[0]!)),
      ...lossyCompression(pixelsFrom[0]!, lossyRatio, sourceIsLossy),
      ImageComments: commentOf(source),
      // A source that says YES keeps it: text in the pixels does not go away.
      ...(source.string('BurnedInAnnotation') !== 'YES' && { BurnedInAnnotation: 'NO' }),
      ...tileOrganization(source),
      OpticalPathSequence: derivedOpticalPaths(source, derivation.identity, derivation.iccProfile),
      ...derivedFunctionalGroups(sources, imageType, derived, derivation.identity),
    })
    .withElements(privateBlock(derivation));
}

function uncompressedBytes({ frames, rows, columns }: Level): number {
  return frames.length * rows * columns * 3;
}

/** The codecs write interleaved samples; YBR_RCT is the reversible colour transform of JPEG 2000. */
function pixelAttributes({ frames }: Level, { encoding }: DerivationRecord): Attributes {
  return {
    SamplesPerPixel: 3,
    PhotometricInterpretation: encoding === 'jpeg' ? 'YBR_FULL_422' : 'YBR_RCT',
    PlanarConfiguration: 0,
    NumberOfFrames: frames.length,
  };
}

/** TILED_FULL is defined only together with these (PS3.3 C.7.6.17.3); sources leave them out. */
function tileOrganization(source: DataSet): Attributes {
  if (source.string('DimensionOrganizationType') !== 'TILED_FULL') return {};
  return {
    ...(source.number('TotalPixelMatrixFocalPlanes') === undefined && { TotalPixelMatrixFocalPlanes: 1 }),
    ...(source.number('NumberOfOpticalPaths') === undefined && { NumberOfOpticalPaths: 1 }),
  };
}

/** The warning, and after it what the source said, byte for byte. */
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
