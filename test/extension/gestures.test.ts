/** The left button pans in our mode until a tool is chosen, and other modes are as OHIF has them. */
import { expect, test } from 'vitest';
import { endPanWithoutTool, panWithoutTool } from '../../extension/src/ohif/gestures.ts';
import type { Interaction, MicroscopyService } from '../../extension/src/ohif/types.ts';

/** As in OHIF 3.13: what is chosen stays when a mode ends. */
class Service {
  activeInteractions: readonly Interaction[] | undefined;
  activateInteractions(interactions: readonly Interaction[]): void {
    this.activeInteractions = interactions;
  }
  getActiveInteractions(): readonly Interaction[] | undefined {
    return this.activeInteractions;
  }
}
const service = (): MicroscopyService => new Service() as unknown as MicroscopyService;

const RULER: readonly Interaction[] = [['draw', { geometryType: 'line' }]];

test('is taken back when the mode ends', () => {
  const microscopy = service();
  panWithoutTool(microscopy);
  expect(microscopy.getActiveInteractions()?.[0]?.[0]).toBe('dragPan');
  endPanWithoutTool(microscopy);
  expect(microscopy.getActiveInteractions()).toBeUndefined();
});

test('a tool that was chosen stays, as in OHIF', () => {
  const microscopy = service();
  panWithoutTool(microscopy);
  microscopy.activateInteractions(RULER);
  endPanWithoutTool(microscopy);
  panWithoutTool(microscopy);
  expect(microscopy.getActiveInteractions()).toBe(RULER);
});
