/**
 * Synthetic whole-slide instances, valid by dciodvfy, in every variant of tiling and encapsulation that we must read.
 */
import { type Attributes, DataSet } from '../../server/src/dicom/dataset.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { nameBasedUuid, uidFromUuid } from '../../server/src/dicom/uid.ts';

export const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
export const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
export const WHOLE_SLIDE_SOP_CLASS = '1.2.840.10008.5.1.4.1.1.77.1.6';

const NAMESPACE = '7d444840-9dc0-11d1-b245-5ffdce74fad2';

/** A UID that depends only on the name. */
export function testUid(name: string): string {
  return uidFromUuid(nameBasedUuid(NAMESPACE, name));
}

export interface SlideInstanceOptions {
  readonly rows: number;
  readonly columns: number;
  readonly totalRows: number;
  readonly totalColumns: number;
  /** Encoded frames in stored order. */
  readonly frames: readonly Uint8Array[];
  /** Default JPEG baseline. */
  readonly transferSyntaxUid?: string;
  /** Default YBR_FULL_422. */
  readonly photometricInterpretation?: string;
  /** `none`: positions per frame without a Dimension Organization Type. Default TILED_FULL. */
  readonly tiling?: 'TILED_FULL' | 'TILED_SPARSE' | 'none';
  /** Upper left corners of the frames, 0-based, unless TILED_FULL. Default: row by row. */
  readonly positions?: readonly { readonly x: number; readonly y: number }[];
  /** Default ORIGINAL\PRIMARY\VOLUME\NONE. */
  readonly imageType?: readonly string[];
  /** Names the slide: instances of one name share study, series and frame of reference. Default `slide`. */
  readonly slide?: string;
  /** Default 1. */
  readonly instanceNumber?: number;
  readonly concatenation?: { readonly number: number; readonly total: number; readonly frameOffset: number };
  /** Default `basic`. */
  readonly offsetTable?: 'basic' | 'empty' | 'extended';
  /** Default 1. */
  readonly fragmentsPerFrame?: number;
  /** Pads fragments to even length. Default true. */
  readonly padFragments?: boolean;
  /** Millimetres per pixel. Default 0.0005. */
  readonly pixelSpacing?: number;
  readonly iccProfile?: Uint8Array;
  /** Set last, over everything else. */
  readonly overrides?: Attributes;
  /** Removed at the end. */
  readonly remove?: readonly string[];
}

/** A Part 10 file. */
export function makeSlideInstance(options: SlideInstanceOptions): Uint8Array {
  const syntax = options.transferSyntaxUid ?? JPEG_BASELINE;
  const header = makeSlideHeader(options);
  const pixelData =
    syntax === EXPLICIT_LITTLE_ENDIAN ? nativePixelData(options.frames) : encapsulatedPixelData(options);
  const { dataSet, bytes } = pixelData;
  return Buffer.concat([
    fileBeginning(header, syntax),
    writeDataSet(header.withElements(dataSet.elements)),
    bytes,
  ]);
}

export function fileBeginning(header: DataSet, transferSyntaxUid: string): Uint8Array {
  const group = writeDataSet(
    DataSet.of({
      FileMetaInformationVersion: Uint8Array.of(0, 1),
      MediaStorageSOPClassUID: header.string('SOPClassUID') ?? '',
      MediaStorageSOPInstanceUID: header.string('SOPInstanceUID') ?? '',
      TransferSyntaxUID: transferSyntaxUid,
      ImplementationClassUID: '2.25.1',
    }),
  );
  const length = writeDataSet(DataSet.of({ FileMetaInformationGroupLength: group.length }));
  return Buffer.concat([new Uint8Array(128), Buffer.from('DICM'), length, group]);
}

function code(value: string, scheme: string, meaning: string): DataSet {
  return DataSet.of({ CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: meaning });
}

/** The header alone, without Pixel Data. */
export function makeSlideHeader(options: SlideInstanceOptions): DataSet {
  const { rows, columns, totalRows, totalColumns, frames, slide = 'slide', instanceNumber = 1 } = options;
  const imageType = options.imageType ?? ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'];
  const spacing = options.pixelSpacing ?? 0.0005;
  const tiling = options.tiling ?? 'TILED_FULL';
  const lossy = (options.transferSyntaxUid ?? JPEG_BASELINE) === JPEG_BASELINE;
  const encodedBytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  const ratio = (frames.length * rows * columns * 3) / encodedBytes;
  const photometric = options.photometricInterpretation ?? 'YBR_FULL_422';
  const path: Attributes = {
    IlluminationTypeCodeSequence: [code('111744', 'DCM', 'Brightfield illumination')],
    OpticalPathIdentifier: '1',
    IlluminationColorCodeSequence: [code('371251000', 'SCT', 'White color')],
    ...(options.iccProfile && { ICCProfile: options.iccProfile }),
  };
  const part = options.concatenation;
  return DataSet.of({
    ImageType: imageType,
    SOPClassUID: WHOLE_SLIDE_SOP_CLASS,
    SOPInstanceUID: testUid(`${slide}-instance-${instanceNumber}-${part?.number ?? 0}`),
    StudyDate: '20200102',
    ContentDate: '20200102',
    AcquisitionDateTime: '20200102030405',
    StudyTime: '030405',
    ContentTime: '030405',
    AccessionNumber: '',
    Modality: 'SM',
    Manufacturer: 'Test Manufacturer',
    ReferringPhysicianName: '',
    ManufacturerModelName: 'Test Scanner',
    VolumetricProperties: 'VOLUME',
    PatientName: 'Test^Patient',
    PatientID: 'TEST',
    PatientBirthDate: '',
    PatientSex: 'O',
    DeviceSerialNumber: '1234',
    SoftwareVersions: ['1.0', '2.0'],
    StudyInstanceUID: testUid(`${slide}-study`),
    SeriesInstanceUID: testUid(`${slide}-series`),
    StudyID: '1',
    SeriesNumber: 1,
    InstanceNumber: instanceNumber,
    FrameOfReferenceUID: testUid(`${slide}-frame`),
    PositionReferenceIndicator: 'SLIDE_CORNER',
    DimensionOrganizationSequence: [DataSet.of({ DimensionOrganizationUID: testUid(`${slide}-dimension`) })],
    ...(tiling !== 'none' && { DimensionOrganizationType: tiling }),
    ...(tiling !== 'TILED_FULL' && { DimensionIndexSequence: dimensionIndex(slide) }),
    ...(part && {
      ConcatenationUID: testUid(`${slide}-concatenation-${instanceNumber}`),
      SOPInstanceUIDOfConcatenationSource: testUid(`${slide}-whole-${instanceNumber}`),
      InConcatenationNumber: part.number,
      InConcatenationTotalNumber: part.total,
      ConcatenationFrameOffsetNumber: part.frameOffset,
    }),
    SamplesPerPixel: 3,
    PhotometricInterpretation: photometric,
    PlanarConfiguration: 0,
    NumberOfFrames: frames.length,
    Rows: rows,
    Columns: columns,
    BitsAllocated: 8,
    BitsStored: 8,
    HighBit: 7,
    PixelRepresentation: 0,
    BurnedInAnnotation: 'NO',
    LossyImageCompression: lossy ? '01' : '00',
    ...(lossy && {
      LossyImageCompressionRatio: ratio.toFixed(2),
      LossyImageCompressionMethod: 'ISO_10918_1',
    }),
    ContainerIdentifier: slide.slice(0, 16),
    IssuerOfTheContainerIdentifierSequence: [],
    ContainerTypeCodeSequence: [code('433466003', 'SCT', 'Microscope slide')],
    AcquisitionContextSequence: [],
    SpecimenDescriptionSequence: [
      DataSet.of({
        SpecimenIdentifier: 'specimen',
        SpecimenUID: testUid(`${slide}-specimen`),
        IssuerOfTheSpecimenIdentifierSequence: [],
        SpecimenPreparationSequence: [],
      }),
    ],
    ImagedVolumeWidth: totalColumns * spacing,
    ImagedVolumeHeight: totalRows * spacing,
    ImagedVolumeDepth: 1,
    TotalPixelMatrixColumns: totalColumns,
    TotalPixelMatrixRows: totalRows,
    TotalPixelMatrixOriginSequence: [
      DataSet.of({ XOffsetInSlideCoordinateSystem: 20, YOffsetInSlideCoordinateSystem: 20 }),
    ],
    SpecimenLabelInImage: 'NO',
    FocusMethod: 'AUTO',
    ExtendedDepthOfField: 'NO',
    ImageOrientationSlide: [0, -1, 0, -1, 0, 0],
    OpticalPathSequence: [DataSet.of(path)],
    NumberOfOpticalPaths: 1,
    TotalPixelMatrixFocalPlanes: 1,
    SharedFunctionalGroupsSequence: [
      DataSet.of({
        PixelMeasuresSequence: [DataSet.of({ SliceThickness: 0.001, PixelSpacing: [spacing, spacing] })],
        WholeSlideMicroscopyImageFrameTypeSequence: [DataSet.of({ FrameType: imageType })],
        OpticalPathIdentificationSequence: [DataSet.of({ OpticalPathIdentifier: '1' })],
      }),
    ],
    ...(tiling !== 'TILED_FULL' && { PerFrameFunctionalGroupsSequence: perFrameGroups(options) }),
    ...options.overrides,
  }).without(...(options.remove ?? []));
}

function dimensionIndex(slide: string): DataSet[] {
  return ['RowPositionInTotalImagePixelMatrix', 'ColumnPositionInTotalImagePixelMatrix'].map((keyword) =>
    DataSet.of({
      DimensionOrganizationUID: testUid(`${slide}-dimension`),
      DimensionIndexPointer: keyword.startsWith('Row') ? '0048021F' : '0048021E',
      FunctionalGroupPointer: '0048021A',
    }),
  );
}

function perFrameGroups({
  frames,
  positions,
  rows,
  columns,
  totalColumns,
  pixelSpacing,
  concatenation,
}: SlideInstanceOptions): DataSet[] {
  const across = Math.ceil(totalColumns / columns);
  const spacing = pixelSpacing ?? 0.0005;
  return frames.map((_, i) => {
    const index = i + (concatenation?.frameOffset ?? 0);
    const { x, y } = positions?.[i] ?? {
      x: (index % across) * columns,
      y: Math.floor(index / across) * rows,
    };
    return DataSet.of({
      FrameContentSequence: [DataSet.of({ DimensionIndexValues: [y / rows + 1, x / columns + 1] })],
      PlanePositionSlideSequence: [
        DataSet.of({
          XOffsetInSlideCoordinateSystem: (20 - y * spacing).toFixed(6),
          YOffsetInSlideCoordinateSystem: (20 - x * spacing).toFixed(6),
          ZOffsetInSlideCoordinateSystem: 0,
          ColumnPositionInTotalImagePixelMatrix: x + 1,
          RowPositionInTotalImagePixelMatrix: y + 1,
        }),
      ],
    });
  });
}

interface PixelData {
  /** Elements before Pixel Data. */
  readonly dataSet: DataSet;
  /** Pixel Data with its header. */
  readonly bytes: Uint8Array;
}

function nativePixelData(frames: readonly Uint8Array[]): PixelData {
  const value = Buffer.concat(frames);
  const bytes = Buffer.concat([
    elementStart(value.length + (value.length % 2)),
    value,
    new Uint8Array(value.length % 2),
  ]);
  return { dataSet: new DataSet(), bytes };
}

function encapsulatedPixelData({
  frames,
  offsetTable = 'basic',
  fragmentsPerFrame = 1,
  padFragments = true,
}: SlideInstanceOptions): PixelData {
  const parts: Uint8Array[] = [];
  const offsets: number[] = [];
  let position = 0;
  for (const frame of frames) {
    offsets.push(position);
    for (const fragment of splitEvenly(frame, fragmentsPerFrame)) {
      const padding = padFragments ? fragment.length % 2 : 0;
      parts.push(item(fragment.length + padding), fragment, new Uint8Array(padding));
      position += 8 + fragment.length + padding;
    }
  }
  const table = new Uint8Array(offsetTable === 'basic' ? 4 * frames.length : 0);
  if (offsetTable === 'basic') new Uint32Array(table.buffer).set(offsets);
  const extended = {
    ExtendedOffsetTable: new Uint8Array(BigUint64Array.from(offsets.map(BigInt)).buffer),
    ExtendedOffsetTableLengths: new Uint8Array(
      BigUint64Array.from(frames.map(({ length }) => BigInt(length))).buffer,
    ),
  };
  const end = Uint8Array.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0);
  return {
    dataSet: offsetTable === 'extended' ? DataSet.of(extended) : new DataSet(),
    bytes: Buffer.concat([elementStart(0xffffffff), item(table.length), table, ...parts, end]),
  };
}

/** Splits at even offsets, because all but the last fragment of a frame must be even. */
function splitEvenly(frame: Uint8Array, count: number): Uint8Array[] {
  const size = Math.max(2, 2 * Math.ceil(frame.length / count / 2));
  const parts = Array.from({ length: count }, (_, i) =>
    frame.subarray(i * size, i === count - 1 ? undefined : (i + 1) * size),
  );
  return parts.filter((part) => part.length > 0);
}

function elementStart(length: number): Uint8Array {
  const bytes = Uint8Array.of(0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x42, 0, 0, 0, 0, 0, 0);
  new DataView(bytes.buffer).setUint32(8, length, true);
  return bytes;
}

function item(length: number): Uint8Array {
  const bytes = Uint8Array.of(0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0);
  new DataView(bytes.buffer).setUint32(4, length, true);
  return bytes;
}
