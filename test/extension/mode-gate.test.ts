/** The modes of the viewer in which the plugin works. */
import { expect, test } from 'vitest';
import { PANEL_ID } from '../../extension/src/identity.ts';
import { ModeGate } from '../../extension/src/mode-gate.ts';
import type { Services } from '../../extension/src/ohif/types.ts';

function viewer(...listed: string[]) {
  const listeners = new Set<() => void>();
  const panels = [...listed];
  const panelService = {
    EVENTS: { PANELS_CHANGED: 'changed' },
    subscribe(_event: string, listener: () => void) {
      listeners.add(listener);
      return { unsubscribe: () => listeners.delete(listener) };
    },
    getPanels: (side: string) => (side === 'right' ? panels.map((id) => ({ id })) : []),
  } as unknown as Services['panelService'];
  const add = (id: string): void => {
    panels.push(id);
    for (const listener of listeners) listener();
  };
  const session = {
    isIn: false,
    enter() {
      session.isIn = true;
    },
    leave() {
      session.isIn = false;
    },
  };
  return { panelService, listeners, add, session, gate: new ModeGate(session) };
}

test('a mode without the panel is not affected', () => {
  const { gate, panelService, session, listeners } = viewer('another');
  gate.enterMode(panelService);
  expect(session.isIn).toBe(false);
  gate.leaveMode();
  expect(listeners.size).toBe(0);
});

test('a mode that lists it, at once or later, has it until the mode ends', () => {
  const { gate, panelService, session, listeners, add } = viewer('another', PANEL_ID);
  gate.enterMode(panelService);
  expect(session.isIn).toBe(true);
  gate.leaveMode();
  expect([session.isIn, listeners.size]).toEqual([false, 0]);

  const later = viewer();
  later.gate.enterMode(later.panelService);
  later.add(PANEL_ID);
  expect(later.session.isIn).toBe(true);
  add(PANEL_ID);
  expect(session.isIn).toBe(false);
});

test('so has a mode that shows it as part of another panel, or runs a command', () => {
  const part = viewer('several panels in one');
  part.gate.panelMounted(true);
  expect(part.session.isIn).toBe(false);
  part.gate.enterMode(part.panelService);
  expect(part.session.isIn).toBe(true);

  const { gate, panelService, session } = viewer();
  expect(gate.forCommand()).toBeUndefined();
  gate.enterMode(panelService);
  expect(gate.forCommand()).toBe(session);
  expect(session.isIn).toBe(true);
});
