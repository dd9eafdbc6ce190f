/**
 * A Key Object Selection Document that rejects every instance of a series (IHE RAD TF-3 4.66; PS3.3 A.35.4, PS3.16
 * TID 2010). It belongs to the patient and study of the series, copied byte for byte.
 */
import type { RejectionReason } from '../../../core/src/contract/rejection-reason.ts';
import { type Attributes, DataSet } from '../dicom/dataset.ts';
import { writeDataSet } from '../dicom/dataset-writer.ts';
import { tagOf } from '../dicom/dictionary.ts';
import { writePart10Beginning } from '../dicom/file-meta.ts';
import { nameBasedUuid, newUuid, uidFromUuid } from '../dicom/uid.ts';
import { code } from './codes.ts';
import { MANUFACTURER, MODEL_NAME } from './equipment.ts';
import { processingTime } from './processing-time.ts';

export const KEY_OBJECT_SELECTION = '1.2.840.10008.5.1.4.1.1.88.59';
const EXPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
/** Namespace of the UIDs of our devices as observers. */
const DEVICES = '4a4a3d0e-53a1-4a63-9f0c-8b9e6d2f7c15';

/** Code Value (DCM) and Code Meaning of each title; all in CID 7010. */
export const REJECTION_TITLES: Readonly<Record<RejectionReason, readonly [value: string, meaning: string]>> =
  {
    quality: ['113001', 'Rejected for Quality Reasons'],
    safety: ['113037', 'Rejected for Patient Safety Reasons'],
    worklist: ['113038', 'Incorrect Modality Worklist Entry'],
    retention: ['113039', 'Data Retention Policy Expired'],
  };

/** Patient, General Study, Patient Study and Clinical Trial modules, as far as a slide has them. */
const COPIED = new Set(
  [
    ...['SpecificCharacterSet', 'TimezoneOffsetFromUTC'],
    ...['PatientName', 'PatientID', 'IssuerOfPatientID', 'IssuerOfPatientIDQualifiersSequence'],
    ...['TypeOfPatientID', 'PatientBirthDate', 'PatientBirthTime', 'PatientSex', 'OtherPatientIDsSequence'],
    ...['PatientIdentityRemoved', 'DeidentificationMethod', 'DeidentificationMethodCodeSequence'],
    ...['StudyInstanceUID', 'StudyDate', 'StudyTime', 'StudyID', 'StudyDescription', 'AccessionNumber'],
    ...['IssuerOfAccessionNumberSequence', 'ReferringPhysicianName', 'PatientAge'],
    ...['ClinicalTrialSponsorName', 'ClinicalTrialProtocolID', 'ClinicalTrialProtocolName'],
    ...['ClinicalTrialSiteID', 'ClinicalTrialSiteName', 'ClinicalTrialSubjectID'],
    ...['ClinicalTrialSubjectReadingID', 'ClinicalTrialTimePointID'],
  ].map(tagOf),
);

/** Required, but may be empty (type 2). */
const EMPTY: Attributes = Object.fromEntries(
  [
    ...['PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex'],
    ...['StudyDate', 'StudyTime', 'StudyID', 'AccessionNumber', 'ReferringPhysicianName'],
  ].map((keyword) => [keyword, '']),
);

export interface InstanceReference {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
}

export interface RejectionNoteInput {
  /** Header of one instance of the rejected series. */
  readonly header: DataSet;
  /** Every instance of that series. */
  readonly instances: readonly InstanceReference[];
  readonly reason: RejectionReason;
  readonly seriesNumber: number;
  readonly deviceSerialNumber: string;
  readonly softwareVersions: readonly string[];
  /** ISO 8601 with UTC offset. */
  readonly createdAt: string;
}

export interface RejectionNote {
  readonly studyInstanceUid: string;
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  /** A Part 10 file. */
  readonly bytes: Uint8Array;
}

export function rejectionNote(input: RejectionNoteInput): RejectionNote {
  const { header, instances, reason, createdAt } = input;
  const { date, time } = processingTime(createdAt, header.string('TimezoneOffsetFromUTC'));
  const [value, meaning] = REJECTION_TITLES[reason];
  const studyInstanceUid = header.string('StudyInstanceUID') ?? '';
  const sopInstanceUid = uidFromUuid(newUuid());
  const references = instances.map((instance) =>
    DataSet.of({
      ReferencedSOPClassUID: instance.sopClassUid,
      ReferencedSOPInstanceUID: instance.sopInstanceUid,
    }),
  );
  const note = DataSet.of(EMPTY)
    .withElements(header.elements.filter(({ tag }) => COPIED.has(tag)))
    .with({
      SOPClassUID: KEY_OBJECT_SELECTION,
      SOPInstanceUID: sopInstanceUid,
      InstanceCreationDate: date,
      InstanceCreationTime: time,
      SeriesDate: date,
      SeriesTime: time,
      ContentDate: date,
      ContentTime: time,
      Modality: 'KO',
      SeriesInstanceUID: uidFromUuid(newUuid()),
      SeriesNumber: input.seriesNumber,
      SeriesDescription: meaning,
      InstanceNumber: 1,
      Manufacturer: MANUFACTURER,
      ManufacturerModelName: MODEL_NAME,
      DeviceSerialNumber: input.deviceSerialNumber,
      SoftwareVersions: input.softwareVersions,
      ReferencedPerformedProcedureStepSequence: [],
      ValueType: 'CONTAINER',
      ConceptNameCodeSequence: [code(value, 'DCM', meaning)],
      ContinuityOfContent: 'SEPARATE',
      ContentTemplateSequence: [DataSet.of({ MappingResource: 'DCMR', TemplateIdentifier: '2010' })],
      CurrentRequestedProcedureEvidenceSequence: [
        DataSet.of({
          StudyInstanceUID: studyInstanceUid,
          ReferencedSeriesSequence: [
            DataSet.of({
              SeriesInstanceUID: header.string('SeriesInstanceUID') ?? '',
              ReferencedSOPSequence: references,
            }),
          ],
        }),
      ],
      ContentSequence: [
        ...observer(input.deviceSerialNumber),
        ...references.map((reference) =>
          DataSet.of({
            RelationshipType: 'CONTAINS',
            ValueType: 'IMAGE',
            ReferencedSOPSequence: [reference],
          }),
        ),
      ],
    });
  const bytes = Buffer.concat([writePart10Beginning(note, EXPLICIT_VR_LITTLE_ENDIAN), writeDataSet(note)]);
  return { studyInstanceUid, sopClassUid: KEY_OBJECT_SELECTION, sopInstanceUid, bytes };
}

/** The device that rejects (PS3.16 TID 1002, TID 1004). */
function observer(deviceSerialNumber: string): DataSet[] {
  const context = (name: DataSet, valueType: string, value: Attributes): DataSet =>
    DataSet.of({
      RelationshipType: 'HAS OBS CONTEXT',
      ValueType: valueType,
      ConceptNameCodeSequence: [name],
      ...value,
    });
  return [
    context(code('121005', 'DCM', 'Observer Type'), 'CODE', {
      ConceptCodeSequence: [code('121007', 'DCM', 'Device')],
    }),
    context(code('121012', 'DCM', 'Device Observer UID'), 'UIDREF', {
      UID: uidFromUuid(nameBasedUuid(DEVICES, deviceSerialNumber)),
    }),
  ];
}
