/** Our keys, given to OHIF's hotkeys: there the user sees and changes them (Settings, Preferences), as all others. */
import { COMMANDS_CONTEXT } from '../identity.ts';
import type { Hotkey, HotkeysManager } from '../ohif/types.ts';
import { type StringKey, translate } from '../strings/translate.ts';

interface Shortcut {
  readonly commandName: string;
  readonly commandOptions?: Readonly<Record<string, unknown>>;
  readonly label: StringKey;
  /** None of OHIF's own; in the spelling of Mousetrap. */
  readonly keys: string;
}

const SHORTCUTS: readonly Shortcut[] = [
  { commandName: 'nextTemplate', label: 'shortcut.nextTemplate', keys: 't' },
  { commandName: 'previousTemplate', label: 'shortcut.previousTemplate', keys: 'shift+t' },
  { commandName: 'togglePreview', label: 'shortcut.togglePreview', keys: 'p' },
  { commandName: 'holdOriginal', label: 'shortcut.holdOriginal', keys: 'o' },
  ...(
    [
      ['side-by-side', 's'],
      ['swipe', 'w'],
      ['blink', 'k'],
      ['difference', 'd'],
      ['two-by-two', 'q'],
    ] as const
  ).map(
    ([mode, keys]): Shortcut => ({
      commandName: 'compareNormalized',
      commandOptions: { mode },
      label: `shortcut.${mode}`,
      keys,
    }),
  ),
  { commandName: 'showOriginal', label: 'shortcut.showOriginal', keys: 'x' },
  { commandName: 'showShortcuts', label: 'shortcut.showShortcuts', keys: '?' },
];

/** What the help card shows of a key. */
export interface BoundShortcut {
  readonly command: string;
  readonly label: string;
  /** As the user has them now; empty where there are none. */
  readonly keys: string;
}

let manager: HotkeysManager | undefined;

/** The mode is a module of its own, which OHIF does not tell of its hotkeys. */
export function useHotkeysOf(viewer: HotkeysManager): void {
  manager = viewer;
}

/**
 * Adds ours to the hotkeys of the mode that has just set its own; OHIF forgets all of them when it leaves the mode. A key
 * that something else has already, by a site's configuration or a user's choice, is left to that.
 */
export function addShortcuts(): void {
  if (!manager) return;
  const taken = new Set(Object.values(manager.hotkeyDefinitions).map(keysOf));
  const ours = SHORTCUTS.map(
    ({ label, keys, ...command }): Hotkey => ({
      ...command,
      context: COMMANDS_CONTEXT,
      label: translate(label),
      keys: taken.has(keys) ? '' : [keys],
      isEditable: true,
    }),
  );
  manager.setDefaultHotKeys([...manager.hotkeyDefaults, ...ours]);
}

/** Ours, with the keys that they have now; none in a mode that has not added them. */
export function boundShortcuts(): BoundShortcut[] {
  const bound = Object.values(manager?.hotkeyDefinitions ?? {});
  return SHORTCUTS.flatMap(({ commandName, commandOptions = {}, label }) => {
    const found = bound.find(
      (one) =>
        one.commandName === commandName &&
        Object.entries(commandOptions).every(([name, value]) => one.commandOptions?.[name] === value),
    );
    return found ? [{ command: commandName, label: translate(label), keys: keysOf(found) }] : [];
  });
}

function keysOf({ keys = '' }: Pick<Hotkey, 'keys'>): string {
  return typeof keys === 'string' ? keys : keys.join('+');
}
