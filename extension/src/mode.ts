/** The mode "Stain normalization" at /stain: OHIF's microscopy mode with our panel, button and a panning left button. */
import { MODE_ID, PANEL_ID } from './identity.ts';
import { endPanWithoutTool, panWithoutTool } from './ohif/gestures.ts';
import type { Services } from './ohif/types.ts';
import { addShortcuts } from './shortcuts/shortcuts.ts';
import { readSiteStrings } from './strings/site-strings.ts';
import { translate } from './strings/translate.ts';
import { addToolbarButton } from './toolbar-button.ts';

interface Layout {
  readonly id: string;
  readonly props: Record<string, unknown>;
}

interface Mode {
  readonly routes: readonly { readonly layoutTemplate: (context: object) => Layout }[];
  readonly extensions: Record<string, string>;
  onModeEnter(context: ModeContext): void;
  onModeExit?(context: object): void;
}

interface ModeContext {
  readonly servicesManager: { readonly services: Pick<Services, 'toolbarService' | 'microscopyService'> };
}

/** @param extension OHIF's name for our extension: the name of the package, or the address that it was loaded from */
export const createMode = (extension: string) => ({
  id: MODE_ID,

  async modeFactory({
    loadModules,
  }: {
    loadModules: (names: string[]) => Promise<unknown[]>;
  }): Promise<object> {
    const [microscopy] = (await loadModules(['@ohif/mode-microscopy'])) as [
      { modeFactory(options: object): Mode },
    ];
    const base = microscopy.modeFactory({ modeConfiguration: {} });
    const layout = base.routes[0]!.layoutTemplate;
    readSiteStrings();
    let addingShortcuts: ReturnType<typeof setTimeout> | undefined;
    return {
      ...base,
      id: MODE_ID,
      routeName: 'stain',
      displayName: translate('mode.title'),
      onModeEnter(context: ModeContext) {
        base.onModeEnter(context);
        const { toolbarService, microscopyService } = context.servicesManager.services;
        if (microscopyService) panWithoutTool(microscopyService);
        addToolbarButton(toolbarService);
        // OHIF sets its own hotkeys after this.
        addingShortcuts = setTimeout(addShortcuts);
      },
      onModeExit(context: ModeContext) {
        clearTimeout(addingShortcuts);
        const { microscopyService } = context.servicesManager.services;
        if (microscopyService) endPanWithoutTool(microscopyService);
        base.onModeExit?.(context);
      },
      routes: [
        {
          path: 'stain',
          layoutTemplate: (options: object) => {
            const { id, props } = layout(options);
            const rightPanels = [PANEL_ID, ...(props['rightPanels'] as string[])];
            return {
              id,
              props: { ...props, leftPanelClosed: false, rightPanels, rightPanelInitialExpandedWidth: 340 },
            };
          },
        },
      ],
      // OHIF imports these names again on entry.
      extensions: { ...base.extensions, [extension]: '*' },
    };
  },
});
