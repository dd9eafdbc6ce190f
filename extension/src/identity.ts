/** Names used by other modes, hotkeys and configurations: they do not change between versions. */
export const EXTENSION_ID = 'ohif-extension-stain-normalization';
export const MODE_ID = 'ohif-mode-stain-normalization';
export const PANEL_NAME = 'stain-normalization';
export const PANEL_ID = `${EXTENSION_ID}.panelModule.${PANEL_NAME}`;
export const COMMANDS_CONTEXT = 'STAIN_NORMALIZATION';
/** Manufacturer's Model Name (0008,1090) that the service writes into what it derives. */
export const DERIVED_BY = 'stain-normalization';
/**
 * One of the viewer's own icons, a palette. It has no name of its own, which the viewer would show in place of ours.
 */
export const ICON = 'ColorChange';
