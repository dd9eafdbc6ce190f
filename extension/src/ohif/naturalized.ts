/** Values of headers as the viewer keeps them. */
import type { NaturalizedInstance } from './types.ts';

/** A value as the viewer keeps it: alone, in a list, or as an element with its VR. Empty values count as missing. */
export function text(value: unknown): string | null {
  if (Array.isArray(value)) return text(value[0]);
  if (value instanceof Object && 'Value' in value) return text(value.Value);
  const trimmed = typeof value === 'string' || value instanceof String ? value.trim() : '';
  return trimmed === '' ? null : trimmed;
}

/** The viewer represents a sequence of one item as that item. */
export function items(sequence: unknown): NaturalizedInstance[] {
  if (sequence === undefined || sequence === null) return [];
  return Array.isArray(sequence) ? sequence : [sequence as NaturalizedInstance];
}
