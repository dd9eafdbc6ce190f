/** For as long as a key is held down. */

/**
 * @param pressed what said that it is down, as keydown or keypress
 * @param end called once: when it is let go, or when the page can no longer hear of that
 */
export function whileHeld(pressed: KeyboardEvent, end: () => void): void {
  const held = new AbortController();
  const listening = { capture: true, signal: held.signal };
  const release = (): void => {
    held.abort();
    end();
  };
  window.addEventListener('keyup', ({ code }) => code === pressed.code && release(), listening);
  window.addEventListener('blur', release, listening);
}
