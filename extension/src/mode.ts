/** The mode "Stain normalization" at /stain: OHIF's microscopy mode with our panel, button and a panning left button. */
import { MODE_ID, PANEL_ID } from './identity.ts';
import type { Services } from './ohif/types.ts';
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
}

interface ModeContext {
  readonly servicesManager: { readonly services: Pick<Services, 'toolbarService'> };
}

const mode = {
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
    return {
      ...base,
      id: MODE_ID,
      routeName: 'stain',
      displayName: translate('mode.title'),
      onModeEnter(context: ModeContext) {
        base.onModeEnter(context);
        addToolbarButton(context.servicesManager.services.toolbarService);
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
      // OHIF imports these names once more on entry: ours is known by the address it was loaded from.
      extensions: { ...base.extensions, [new URL('stain-normalization.mjs', import.meta.url).pathname]: '*' },
    };
  },
};

export default mode;
