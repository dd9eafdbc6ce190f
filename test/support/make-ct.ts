/** A small CT series, for OHIF's modes that show volumes: a bright ball in water, one axial slice per instance. */
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { EXPLICIT_LITTLE_ENDIAN, fileBeginning, testUid } from './make-slide.ts';

const SIZE = 64;
const SLICES = 12;
const SPACING_MM = 4;

export interface CtSeries {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /** Part 10 files, from the feet upwards. */
  readonly files: readonly Uint8Array[];
}

/** @param name determines the UIDs */
export function makeCtSeries(name: string): CtSeries {
  const [studyInstanceUid, seriesInstanceUid] = [testUid(`${name} study`), testUid(`${name} series`)];
  const files = Array.from({ length: SLICES }, (_, slice) => {
    const header = DataSet.of({
      ImageType: ['ORIGINAL', 'PRIMARY', 'AXIAL'],
      SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
      SOPInstanceUID: testUid(`${name} slice ${slice}`),
      StudyDate: '20200102',
      StudyTime: '030405',
      AccessionNumber: '',
      Modality: 'CT',
      Manufacturer: 'Test Manufacturer',
      ReferringPhysicianName: '',
      SeriesDescription: 'Ball in water',
      PatientName: 'Test^Volume',
      PatientID: 'VOLUME',
      PatientBirthDate: '',
      PatientSex: 'O',
      SliceThickness: SPACING_MM,
      StudyInstanceUID: studyInstanceUid,
      SeriesInstanceUID: seriesInstanceUid,
      StudyID: '1',
      SeriesNumber: 1,
      InstanceNumber: slice + 1,
      ImagePositionPatient: [0, 0, slice * SPACING_MM],
      ImageOrientationPatient: [1, 0, 0, 0, 1, 0],
      FrameOfReferenceUID: testUid(`${name} frame`),
      SamplesPerPixel: 1,
      PhotometricInterpretation: 'MONOCHROME2',
      Rows: SIZE,
      Columns: SIZE,
      PixelSpacing: [SPACING_MM, SPACING_MM],
      BitsAllocated: 16,
      BitsStored: 16,
      HighBit: 15,
      PixelRepresentation: 1,
      WindowCenter: 40,
      WindowWidth: 400,
      RescaleIntercept: 0,
      RescaleSlope: 1,
      PixelData: pixels(slice),
    });
    return Buffer.concat([fileBeginning(header, EXPLICIT_LITTLE_ENDIAN), writeDataSet(header)]);
  });
  return { studyInstanceUid, seriesInstanceUid, files };
}

/** Hounsfield units of one slice. */
function pixels(slice: number): Uint8Array {
  const values = new Int16Array(SIZE * SIZE);
  const [centre, middle] = [(SIZE - 1) / 2, (SLICES - 1) / 2];
  for (let row = 0; row < SIZE; row++)
    for (let column = 0; column < SIZE; column++) {
      const distance = Math.hypot(row - centre, column - centre, (slice - middle) * 4);
      values[row * SIZE + column] = distance < 14 ? 180 : distance < 26 ? 20 : -1000;
    }
  return new Uint8Array(values.buffer);
}
