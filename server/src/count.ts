/** Adds to one of several numbers; those that come to nothing are left out, so that the map has an end. */
export function count(numbers: Map<string, number>, key: string, change: 1 | -1): void {
  const number = (numbers.get(key) ?? 0) + change;
  if (number > 0) numbers.set(key, number);
  else numbers.delete(key);
}
