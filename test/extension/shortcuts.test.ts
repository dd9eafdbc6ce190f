/** Our keys among those that are taken already. */
import { expect, test } from 'vitest';
import type { Hotkey, HotkeysManager } from '../../extension/src/ohif/types.ts';
import { formatKeys } from '../../extension/src/shortcuts/format-keys.ts';
import { addShortcuts, boundShortcuts, useHotkeysOf } from '../../extension/src/shortcuts/shortcuts.ts';

/** As OHIF's: what is set is bound, under a digest of command and options. */
function manager(...own: Hotkey[]): HotkeysManager {
  const hotkeys = {
    hotkeyDefinitions: {} as Record<string, Hotkey>,
    hotkeyDefaults: [] as readonly Hotkey[],
    setDefaultHotKeys(all: readonly Hotkey[]) {
      hotkeys.hotkeyDefaults = all;
      for (const one of all)
        hotkeys.hotkeyDefinitions[JSON.stringify([one.commandName, one.commandOptions])] = one;
    },
  };
  hotkeys.setDefaultHotKeys(own);
  return hotkeys;
}

test('they come after those of the viewer, and replace none', () => {
  const zoom: Hotkey = { commandName: 'zoom', label: 'Zoom', keys: ['z'] };
  const hotkeys = manager(zoom);
  useHotkeysOf(hotkeys);
  expect(boundShortcuts()).toEqual([]);
  addShortcuts();
  expect(hotkeys.hotkeyDefaults[0]).toBe(zoom);
  expect(boundShortcuts().map(({ keys }) => keys)).toEqual([
    't',
    'shift+t',
    'p',
    'o',
    's',
    'w',
    'k',
    'd',
    'q',
    'x',
    '?',
  ]);
});

test('a key that another command has is left to it', () => {
  const hotkeys = manager(
    { commandName: 'trim', label: 'Trim', keys: ['shift', 't'] },
    { commandName: 'save', label: 'Save', keys: 's' },
  );
  useHotkeysOf(hotkeys);
  addShortcuts();
  const without = boundShortcuts().filter(({ keys }) => keys === '');
  expect(without.map(({ label }) => label)).toEqual(['Previous stain template', 'Compare side by side']);
});

test.each([
  ['t', 'T'],
  ['shift+t', 'Shift + T'],
  ['?', '?'],
  ['space', 'Space'],
  ['f2', 'f2'],
])('%s is written %s', (keys, written) => expect(formatKeys(keys)).toBe(written));
