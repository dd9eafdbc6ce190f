/** Where this service shows an archive. @param name null or undefined: the default one */
import { DEFAULT_ARCHIVE } from '../../../core/src/contract/default-archive.ts';

type Name = string | null | undefined;

/** Path of its DICOMweb service, below the base path. */
export function dicomWebPath(name: Name): string {
  return isDefault(name) ? '/dicom-web' : `/archives/${name}/dicom-web`;
}

/** Path of the viewer on it. */
export function viewerPath(name: Name): string {
  return isDefault(name) ? '/stain' : `/stain/archive-${name}`;
}

function isDefault(name: Name): boolean {
  return name === null || name === undefined || name === DEFAULT_ARCHIVE;
}
