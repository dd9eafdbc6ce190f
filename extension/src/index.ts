/** The package's entry, for those who build OHIF themselves. */
import { EXTENSION_ID } from './identity.ts';
import { createMode } from './mode.ts';

export { default } from './extension.ts';
export { COMMANDS_CONTEXT, EXTENSION_ID, MODE_ID, PANEL_ID } from './identity.ts';
export const mode = createMode(EXTENSION_ID);
