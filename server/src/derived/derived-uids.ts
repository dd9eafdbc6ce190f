/**
 * UIDs of a derived series, all generated from names (PS3.5 B.2): the same work has the same UIDs wherever it is done,
 * and no list of them has to be kept.
 */
import { nameBasedUuid, uidFromUuid } from '../dicom/uid.ts';

export interface DerivedUids {
  readonly series: string;
  readonly pyramid: string;
  /** @param source SOP Instance UID of the source image; for a concatenation, that of the first part */
  instance(source: string): string;
}

export function derivedUids({ seriesUuid }: { readonly seriesUuid: string }): DerivedUids {
  const uid = (name: string): string => uidFromUuid(nameBasedUuid(seriesUuid, name));
  return {
    series: uidFromUuid(seriesUuid),
    pyramid: uid('pyramid'),
    instance: (source) => uid(`instance ${source}`),
  };
}
