/** Names that other modes, hotkeys and configurations refer to: they do not change between versions. */
export const EXTENSION_ID = 'ohif-extension-stain-normalization';
export const MODE_ID = 'ohif-mode-stain-normalization';
export const PANEL_ID = `${EXTENSION_ID}.panelModule.stain-normalization`;
export const COMMANDS_CONTEXT = 'STAIN_NORMALIZATION';
/** Manufacturer's Model Name (0008,1090) that the service writes into what it derives. */
export const DERIVED_BY = 'stain-normalization';
