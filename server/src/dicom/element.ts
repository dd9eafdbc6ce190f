/** One data element as stored: tag, VR and the bytes of its value, untouched (PS3.5 section 7). */
import type { DataSet } from './dataset.ts';

export interface ValueElement {
  readonly tag: string;
  readonly vr: string;
  /** Little endian, without tag, VR and length; with the padding it was stored with. */
  readonly bytes: Uint8Array;
}

export interface SequenceElement {
  readonly tag: string;
  readonly vr: 'SQ';
  readonly items: readonly DataSet[];
}

export type Element = ValueElement | SequenceElement;

export function isSequence(element: Element): element is SequenceElement {
  return 'items' in element;
}
