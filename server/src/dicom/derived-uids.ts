/**
 * UIDs of a derived series, all made by name (PS3.5 B.2): the same work has the same ones wherever it is done, and no list of
 * them need be kept.
 */
import { nameBasedUuid, uidFromUuid } from './uid.ts';

export interface DerivedUids {
  readonly series: string;
  readonly pyramid: string;
  /** @param source SOP Instance UID of the image that it is derived from; of the first part of a concatenation */
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
