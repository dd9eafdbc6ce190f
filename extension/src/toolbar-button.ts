/** The button that opens the panel, for the modes that have it: ours, and OHIF's own microscopy mode. */
import { COMMANDS_CONTEXT, ICON } from './identity.ts';
import type { Services } from './ohif/types.ts';
import { translate } from './strings/translate.ts';

const TOOLBAR_BUTTON = 'StainNormalize';

export function addToolbarButton(toolbarService: Services['toolbarService']): void {
  toolbarService.register([
    {
      id: TOOLBAR_BUTTON,
      uiType: 'ohif.toolButton',
      props: {
        icon: ICON,
        label: translate('toolbar.normalize'),
        tooltip: translate('toolbar.normalize'),
        commands: { commandName: 'openStainNormalization', context: COMMANDS_CONTEXT },
        evaluate: 'evaluate.action',
      },
    },
  ]);
  toolbarService.updateSection('primary', ['MeasurementTools', 'dragPan', 'TagBrowser', TOOLBAR_BUTTON]);
}
