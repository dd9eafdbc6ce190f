/** Adds to one of several counters; counters that reach zero are removed, so that the map stays bounded. */
export function count(numbers: Map<string, number>, key: string, change: 1 | -1): void {
  const number = (numbers.get(key) ?? 0) + change;
  if (number > 0) numbers.set(key, number);
  else numbers.delete(key);
}
