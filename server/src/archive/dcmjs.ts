/** The two things used of dcmjs, which ships no types: its header parser and its data dictionary. */
import { createRequire } from 'node:module';

/** A parsed element: `Value` holds text, numbers, ArrayBuffers, names or items, as the VR says. */
export interface ParsedElement {
  readonly vr?: string;
  readonly Value?: unknown;
}

export type ParsedDataSet = Readonly<Record<string, ParsedElement>>;

interface Dcmjs {
  readonly data: {
    readonly DicomMessage: {
      readFile(
        file: ArrayBuffer,
        options: { untilTag: string; stopOnGreaterTag: boolean; ignoreErrors: boolean; noCopy: boolean },
      ): { readonly meta: ParsedDataSet; readonly dict: ParsedDataSet };
    };
    readonly DicomMetaDictionary: { readonly nameMap: Readonly<Record<string, { readonly tag: string } | undefined>> };
  };
}

const dcmjs = createRequire(import.meta.url)('dcmjs') as Dcmjs;

/**
 * Parses a Part 10 header; text becomes UTF-8.
 * @param lastTag what lies behind it is not parsed
 */
export function parseHeader(header: ArrayBuffer, lastTag: string): { meta: ParsedDataSet; dict: ParsedDataSet } {
  // Without `ignoreErrors` a character set that dcmjs does not know would make the whole file unreadable.
  return dcmjs.data.DicomMessage.readFile(header, { untilTag: lastTag, stopOnGreaterTag: true, ignoreErrors: true, noCopy: true });
}

/** Tag, eight upper case hexadecimal digits, of a keyword of PS3.6; undefined for an unknown one. */
export function tagOfKeyword(keyword: string): string | undefined {
  const entry = Object.hasOwn(dcmjs.data.DicomMetaDictionary.nameMap, keyword) ? dcmjs.data.DicomMetaDictionary.nameMap[keyword] : undefined;
  const tag = entry?.tag.replace(/[(),]/g, '').toUpperCase();
  return tag && /^[0-9A-F]{8}$/.test(tag) ? tag : undefined;
}
