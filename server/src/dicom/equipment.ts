/** Who made the image: this product. Who made the source moves into Contributing Equipment (PS3.3 C.12.1.1.5). */
import { ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT } from './codes.ts';
import { DataSet } from './dataset.ts';
import type { DerivationRecord } from './derivation-record.ts';

const MANUFACTURER = 'Stain normalization for OHIF and DICOMweb';
const MODEL_NAME = 'stain-normalization';

/** Attributes of the source's equipment that describe one device and go with it (PS3.3 C.7.5.1, C.7.5.2). */
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
/** Of one device too, but with no place in Contributing Equipment. */
export const DROPPED_EQUIPMENT = ['GantryID', 'ManufacturerDeviceClassUID'] as const;
const REPLACED = ['Manufacturer', 'ManufacturerModelName', 'DeviceSerialNumber', 'SoftwareVersions'] as const;
/** The institution stays the same: it is copied into the item and kept. */
const INSTITUTION = ['InstitutionName', 'InstitutionAddress', 'InstitutionalDepartmentName'] as const;

/** Whether an image was made by this product. */
export function isOurs(dataset: DataSet): boolean {
  return (
    dataset.string('Manufacturer') === MANUFACTURER && dataset.string('ManufacturerModelName') === MODEL_NAME
  );
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

/** A source that names its scanner as a contributor already was itself made by processing equipment. */
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
  // Manufacturer is of type 1 here and may be missing or empty in the source.
  return item.string('Manufacturer') ? item : item.with({ Manufacturer: 'Unknown' });
}
