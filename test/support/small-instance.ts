/** Tiny whole-slide instances as Part 10 bytes, for tests of transport: their frames are noise, not pictures. */
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { elementHeader, writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { writePart10Beginning } from '../../server/src/dicom/file-meta.ts';

export interface SmallInstanceOptions {
  readonly studyUid?: string;
  readonly seriesUid?: string;
  readonly sopUid?: string;
  readonly frames?: readonly Uint8Array[];
  readonly transferSyntaxUid?: string;
  /** Further attributes by keyword. */
  readonly attributes?: Parameters<typeof DataSet.of>[0];
}

export interface SmallInstance {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly sopUid: string;
  readonly sopClassUid: string;
  readonly frames: readonly Uint8Array[];
  readonly bytes: Buffer;
}

const WHOLE_SLIDE = '1.2.840.10008.5.1.4.1.1.77.1.6';
const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
const UNCOMPRESSED = '1.2.840.10008.1.2.1';

export function smallInstance(options: SmallInstanceOptions = {}): SmallInstance {
  const { studyUid = '2.25.1', seriesUid = '2.25.2', sopUid = '2.25.3', transferSyntaxUid = JPEG_BASELINE } = options;
  const frames = options.frames ?? [noise(1000, 1), noise(402, 2), noise(2, 3)];
  const dataset = DataSet.of({
    SOPClassUID: WHOLE_SLIDE,
    SOPInstanceUID: sopUid,
    StudyInstanceUID: studyUid,
    SeriesInstanceUID: seriesUid,
    StudyDate: '20240131',
    StudyTime: '101500',
    Modality: 'SM',
    PatientName: 'Test^Slide',
    PatientID: 'P1',
    SeriesNumber: 1,
    InstanceNumber: 1,
    NumberOfFrames: frames.length,
    Rows: 16,
    Columns: 16,
    SamplesPerPixel: 3,
    BitsAllocated: 8,
    BitsStored: 8,
    HighBit: 7,
    PixelRepresentation: 0,
    PlanarConfiguration: 0,
    PhotometricInterpretation: 'RGB',
    OpticalPathSequence: [DataSet.of({ OpticalPathIdentifier: '1', ICCProfile: noise(500, 9) })],
    ...options.attributes,
  });
  const beginning = [writePart10Beginning(dataset, transferSyntaxUid), writeDataSet(dataset)];
  const pixels = transferSyntaxUid === UNCOMPRESSED ? native(frames) : encapsulated(frames);
  return { studyUid, seriesUid, sopUid, sopClassUid: WHOLE_SLIDE, frames, bytes: Buffer.concat([...beginning, ...pixels]) };
}

/** Bytes that are the same in every run; they hold line breaks and dashes as often as anything else. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

function native(frames: readonly Uint8Array[]): Uint8Array[] {
  const length = frames.reduce((sum, frame) => sum + frame.length, 0);
  return [elementHeader('7FE00010', 'OB', length), ...frames];
}

function encapsulated(frames: readonly Uint8Array[]): Uint8Array[] {
  const item = (bytes: Uint8Array): Uint8Array => {
    const header = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    header.writeUInt32LE(bytes.length, 4);
    return Buffer.concat([header, bytes]);
  };
  return [
    elementHeader('7FE00010', 'OB', 0xffffffff),
    item(new Uint8Array()),
    ...frames.map(item),
    Buffer.from([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]),
  ];
}
