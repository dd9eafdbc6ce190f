/** A Key Object Selection Document (PS3.3 A.35.4) about every instance of a series, with any title. */
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import type { SeriesReference } from '../../server/src/pipeline/series-reference.ts';
import { EXPLICIT_LITTLE_ENDIAN, fileBeginning, testUid } from './make-slide.ts';

/** @param title Code Value of CID 7010 or 7011 (DCM). @returns a Part 10 file */
export function makeKeyObject(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  title: string,
): Uint8Array {
  const name = `key object ${title} of ${seriesInstanceUid}`;
  const header = DataSet.of({
    SOPClassUID: '1.2.840.10008.5.1.4.1.1.88.59',
    SOPInstanceUID: testUid(name),
    StudyDate: '20200102',
    StudyTime: '030405',
    AccessionNumber: '',
    Modality: 'KO',
    Manufacturer: 'Test Manufacturer',
    ReferringPhysicianName: '',
    PatientName: 'Test^Note',
    PatientID: 'NOTE',
    StudyInstanceUID: studyInstanceUid,
    SeriesInstanceUID: testUid(`${name} series`),
    StudyID: '1',
    SeriesNumber: 99,
    InstanceNumber: 1,
    ValueType: 'CONTAINER',
    ConceptNameCodeSequence: [
      DataSet.of({ CodeValue: title, CodingSchemeDesignator: 'DCM', CodeMeaning: 'Title' }),
    ],
    CurrentRequestedProcedureEvidenceSequence: [
      DataSet.of({
        StudyInstanceUID: studyInstanceUid,
        ReferencedSeriesSequence: [DataSet.of({ SeriesInstanceUID: seriesInstanceUid })],
      }),
    ],
  });
  return Buffer.concat([fileBeginning(header, EXPLICIT_LITTLE_ENDIAN), writeDataSet(header)]);
}
