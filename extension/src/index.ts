/** The package's entry, for those who build OHIF themselves. */
export { default } from './extension.ts';
export { COMMANDS_CONTEXT, EXTENSION_ID, MODE_ID, PANEL_ID } from './identity.ts';
export { default as mode } from './mode.ts';
