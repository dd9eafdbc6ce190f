/** UIDs of a derived series: made from the job's UUID by name, so that a retry stores the same ones. */
import { nameBasedUuid, uidFromUuid } from './uid.ts';

export interface DerivedUids {
  readonly series: string;
  readonly pyramid: string;
  /** @param number Instance Number, from 1 */
  instance(number: number): string;
}

export function derivedUids({ jobUuid }: { readonly jobUuid: string }): DerivedUids {
  const uid = (name: string): string => uidFromUuid(nameBasedUuid(jobUuid, name));
  return { series: uid('series'), pyramid: uid('pyramid'), instance: (number) => uid(`instance-${number}`) };
}
