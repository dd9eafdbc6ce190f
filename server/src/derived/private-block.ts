/**
 * Parameters for reproduction, in a private block of our own (PS3.5 7.8). The essentials are also in Derivation
 * Description, because some archives strip private elements.
 */
import { TRANSFER_IN_WORDS } from '../../../core/src/stain/transfer-name.ts';
import type { DataSet, Element } from '../dicom/dataset.ts';
import { encodeValue, type Value } from '../dicom/element-value.ts';
import { uidFromUuid } from '../dicom/uid.ts';
import type { ClassMoments, DerivationRecord } from './derivation-record.ts';

export const PRIVATE_GROUP = '3401';
export const PRIVATE_CREATOR = 'STAIN NORMALIZATION';
const MAX_LO_LENGTH = 64;

/** Elements of block 10. The statistics are K values of (density, two chromaticities), class by class. */
export function privateBlock(record: DerivationRecord): Element[] {
  const { model, template, source } = record;
  const element = (number: string, vr: string, value: Value): Element => ({
    tag: PRIVATE_GROUP + number,
    vr,
    bytes: encodeValue(vr, value),
  });
  return [
    element('0010', 'LO', PRIVATE_CREATOR),
    element('1001', 'LO', model.sha256),
    element('1002', 'LO', model.version.slice(0, MAX_LO_LENGTH)),
    element('1003', 'LO', template.id),
    element('1004', 'FD', flat(template.classes, 'mean')),
    element('1005', 'FD', flat(template.classes, 'sd')),
    element('1006', 'FD', flat(source, 'mean')),
    element('1007', 'FD', flat(source, 'sd')),
    element('1008', 'LO', record.executionProvider.slice(0, MAX_LO_LENGTH)),
    element('1009', 'UI', uidFromUuid(record.identity.seriesUuid)),
    element('100A', 'UT', asciiJson(record.fullRecord)),
    element('100B', 'LO', model.name.slice(0, MAX_LO_LENGTH)),
    element('100C', 'LO', template.sha256),
    element('100D', 'LO', TRANSFER_IN_WORDS[record.transfer]),
  ];
}

/**
 * The full record of a derived header, wherever another product has moved our block (PS3.5 7.8.1); undefined if it was
 * stripped or is not what was written.
 */
export function fullRecordOf(header: DataSet): unknown {
  const creator = header.elements.find(
    ({ tag }) => tag.startsWith(`${PRIVATE_GROUP}00`) && header.string(tag)?.trim() === PRIVATE_CREATOR,
  );
  const bytes = creator && header.bytes(`${PRIVATE_GROUP}${creator.tag.slice(6)}0A`);
  try {
    return bytes && JSON.parse(Buffer.from(bytes).toString('latin1'));
  } catch {
    return undefined;
  }
}

function flat(classes: readonly ClassMoments[], moment: 'mean' | 'sd'): number[] {
  return classes.flatMap((one) => one[moment]);
}

/** JSON with everything but ASCII escaped: the source's character set may not be UTF-8. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
