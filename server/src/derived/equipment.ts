/**
 * The equipment that made the image is this product. The source's equipment moves to Contributing Equipment (PS3.3
 * C.12.1.1.5).
 */

import { toStainError } from '../../../core/src/errors.ts';
import { DataSet } from '../dicom/dataset.ts';
import { dataSetFromJson } from '../dicom/from-json.ts';
import type { DicomJson } from '../dicom/json-model.ts';
import { ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT } from './codes.ts';
import type { DerivationRecord } from './derivation-record.ts';

export const MANUFACTURER = 'Stain normalization for OHIF and DICOMweb';
export const MODEL_NAME = 'stain-normalization';

/** Attributes of the source's equipment that describe one device, and move with it (PS3.3 C.7.5.1, C.7.5.2). */
export const MOVED_EQUIPMENT = [
  'StationName',
  'DeviceUID',
  'UDISequence',
  'DateOfManufacture',
  'DateOfInstallation',
  'SpatialResolution',
  'DateOfLastCalibration',
  'TimeOfLastCalibration',
] as const;
/** Attributes of one device that Contributing Equipment has no place for. */
export const DROPPED_EQUIPMENT = ['GantryID', 'ManufacturerDeviceClassUID'] as const;
const REPLACED = ['Manufacturer', 'ManufacturerModelName', 'DeviceSerialNumber', 'SoftwareVersions'] as const;
/** The institution does not change: it is copied into the item and also kept. */
const INSTITUTION = ['InstitutionName', 'InstitutionAddress', 'InstitutionalDepartmentName'] as const;

/** Whether this product made an image. */
export function isOurs(dataset: DataSet): boolean {
  return (
    dataset.string('Manufacturer') === MANUFACTURER && dataset.string('ManufacturerModelName') === MODEL_NAME
  );
}

/** What a search must return for `isListedAsOurs`. */
export const LISTED_EQUIPMENT = ['Manufacturer', 'ManufacturerModelName'] as const;

/** The same, as far as a search result tells. Damaged results, like missing attributes, are noticed when the series is read. */
export function isListedAsOurs(result: DicomJson): boolean {
  try {
    return isOurs(dataSetFromJson(result));
  } catch (error) {
    if (toStainError(error).code === 'DICOM_INVALID') return false;
    throw error;
  }
}

export function withOurEquipment(source: DataSet, record: DerivationRecord): DataSet {
  return source.without(...MOVED_EQUIPMENT, ...DROPPED_EQUIPMENT).with({
    Manufacturer: MANUFACTURER,
    ManufacturerModelName: MODEL_NAME,
    DeviceSerialNumber: record.deviceSerialNumber,
    SoftwareVersions: record.softwareVersions,
    ContributingEquipmentSequence: [...source.items('ContributingEquipmentSequence'), contribution(source)],
  });
}

/** If the source already names its scanner as a contributor, it was itself made by processing equipment. */
function contribution(source: DataSet): DataSet {
  const processed = source
    .items('ContributingEquipmentSequence')
    .some((item) => item.items('PurposeOfReferenceCodeSequence')[0]?.string('CodeValue') === '109101');
  const copied = [...REPLACED, ...MOVED_EQUIPMENT, ...INSTITUTION]
    .map((keyword) => source.element(keyword))
    .filter((element) => element !== undefined);
  const item = DataSet.of({
    PurposeOfReferenceCodeSequence: [processed ? PROCESSING_EQUIPMENT : ACQUISITION_EQUIPMENT],
  }).withElements(copied);
  // Manufacturer is type 1 here and may be missing or empty in the source.
  return item.string('Manufacturer') ? item : item.with({ Manufacturer: 'Unknown' });
}
