/** Keys that what has the focus makes use of. The viewer has hotkeys on some of them, and would take them away. */

/** Keeps such a key inside the panel; all others go on to the viewer. */
export function keepOwnKeys(event: Event): void {
  const [target] = event.composedPath();
  if (target instanceof Element && isUsed(target, (event as KeyboardEvent).key)) event.stopPropagation();
}

function isUsed(target: Element, key: string): boolean {
  if (target.matches('button, summary')) return key === 'Enter' || key === ' ';
  if (target.matches('input[type="radio"]')) return key === ' ' || key.startsWith('Arrow');
  return target.matches('input, select');
}
