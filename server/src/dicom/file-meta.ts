/** The beginning of a Part 10 file: preamble and file meta information (PS3.10 7.1). */
import { DataSet } from './dataset.ts';
import { writeDataSet } from './dataset-writer.ts';
import { nameBasedUuid, uidFromUuid } from './uid.ts';

/**
 * Identifies the software that wrote a file; the same for all versions of this product. The namespace is the ISO OID
 * one of RFC 9562.
 */
export const IMPLEMENTATION_CLASS_UID = uidFromUuid(
  nameBasedUuid('6ba7b812-9dad-11d1-80b4-00c04fd430c8', 'stain-normalization'),
);
const IMPLEMENTATION_VERSION_NAME = 'STAINNORM_1';
const PREAMBLE_BYTES = 128;
/** Position after the prefix DICM, where the file meta information begins. */
export const META_START = PREAMBLE_BYTES + 4;

/** Whether a file begins like DICOM Part 10. @param start at least META_START bytes of it */
export function hasPart10Prefix(start: Uint8Array): boolean {
  return String.fromCharCode(...start.subarray(PREAMBLE_BYTES, META_START)) === 'DICM';
}

/** @param dataSet provides the SOP Class and Instance UID */
export function writePart10Beginning(dataSet: DataSet, transferSyntaxUid: string): Uint8Array {
  return writeFileMeta(
    DataSet.of({
      FileMetaInformationVersion: Uint8Array.of(0, 1),
      MediaStorageSOPClassUID: dataSet.string('SOPClassUID') ?? '',
      MediaStorageSOPInstanceUID: dataSet.string('SOPInstanceUID') ?? '',
      TransferSyntaxUID: transferSyntaxUid,
      ImplementationClassUID: IMPLEMENTATION_CLASS_UID,
      ImplementationVersionName: IMPLEMENTATION_VERSION_NAME,
    }),
  );
}

/** Preamble, prefix and this file meta information, with its length. */
export function writeFileMeta(meta: DataSet): Uint8Array {
  const group = writeDataSet(meta);
  const groupLength = writeDataSet(DataSet.of({ FileMetaInformationGroupLength: group.length }));
  const preamble = new Uint8Array(PREAMBLE_BYTES);
  return Buffer.concat([preamble, Buffer.from('DICM', 'latin1'), groupLength, group]);
}
