/** The OHIF extension: panel, commands and toolbar button, for our own mode and for others. */
import { DEFAULT_MODEL } from '../../server/src/contract/default-model.ts';
import { COMMANDS_CONTEXT, EXTENSION_ID, PANEL_ID } from './identity.ts';
import { ModeGate } from './mode-gate.ts';
import type { RegistrationContext } from './ohif/types.ts';
import { ViewerHost } from './ohif/viewer-host.ts';
import { defineStainPanel, STAIN_PANEL_ELEMENT } from './panel/panel.ts';
import { PreviewFactory } from './preview-factory.ts';
import { ServiceClient } from './service/service-client.ts';
import { Session } from './session.ts';
import type { ComparisonMode } from './state.ts';
import { setStrings, translate } from './strings/translate.ts';
import { addToolbarButton } from './toolbar-button.ts';

let session: Session | undefined;
let gate: ModeGate<Session> | undefined;
let addingPanel: ReturnType<typeof setTimeout> | undefined;

/** URL of the folder with the worker and the runtime: where this file came from, unless it was built into a viewer. */
function pluginFolder({ stainNormalization }: RegistrationContext['appConfig']): URL {
  const folder = stainNormalization?.plugins;
  return folder === undefined ? new URL('.', import.meta.url) : new URL(`${folder}/`, location.origin);
}

/** Where the service is: as configured, or the host that this plugin came from. */
function serviceRoot(appConfig: RegistrationContext['appConfig']): string {
  const service = appConfig.stainNormalization?.service;
  const root =
    service === undefined ? new URL('..', pluginFolder(appConfig)) : new URL(`${service}/`, location.origin);
  let { href } = root;
  while (href.endsWith('/')) href = href.slice(0, -1);
  return href;
}

/** Routes of OHIF's own microscopy mode, which knows nothing of us: the panel is added when it is entered. */
const OWN_MICROSCOPY = /\/microscopy(\/|\?|$)/;

const extension = {
  id: EXTENSION_ID,

  preRegistration(context: RegistrationContext): void {
    const host = new ViewerHost(context);
    const client = new ServiceClient(serviceRoot(context.appConfig), host.authorization);
    session = new Session({
      host,
      client,
      previews: new PreviewFactory({
        host,
        client,
        model: DEFAULT_MODEL,
        plugins: pluginFolder(context.appConfig).href,
      }),
    });
    gate = new ModeGate(session);
    defineStainPanel();
  },

  getPanelModule() {
    return [
      {
        name: 'stain-normalization',
        iconName: 'tab-4d',
        iconLabel: translate('panel.title'),
        label: translate('panel.title'),
        // OHIF's React is not given to plugins; an element of React 18 is an object of this form.
        component: () => ({
          $$typeof: Symbol.for('react.element'),
          type: STAIN_PANEL_ELEMENT,
          key: null,
          ref: (element: { model?: Session } | null) => {
            if (element && session) element.model = session;
            gate?.panelMounted(element !== null);
          },
          props: {},
          _owner: null,
          _store: {},
        }),
      },
    ];
  },

  getCommandsModule() {
    const definitions = {
      normalizeSeries: ({ template }: { template?: string } = {}) => {
        const at = gate?.forCommand();
        if (template) at?.chooseTemplate(template);
        at?.normalize();
      },
      previewNormalized: () => gate?.forCommand()?.preview(),
      stopPreview: () => gate?.forCommand()?.stopPreview(),
      compareNormalized: ({
        mode = 'side-by-side',
        series,
      }: {
        mode?: ComparisonMode;
        series?: string;
      } = {}) => gate?.forCommand()?.compare(mode, series),
      cancelNormalization: () => gate?.forCommand()?.cancel(),
      showOriginal: () => gate?.forCommand()?.showOriginal(),
      openStainNormalization: () => gate?.forCommand()?.openPanel(),
    };
    return {
      defaultContext: COMMANDS_CONTEXT,
      definitions: Object.fromEntries(
        Object.entries(definitions).map(([name, commandFn]) => [name, { commandFn }]),
      ),
    };
  },

  onModeEnter({ servicesManager }: RegistrationContext): void {
    const { toolbarService, panelService, customizationService } = servicesManager.services;
    const strings = customizationService.getCustomization('stainNormalization.strings');
    if (strings) setStrings(strings as Record<string, string>);
    gate?.enterMode(panelService);
    if (OWN_MICROSCOPY.test(location.pathname))
      // The mode sets its toolbar after the extensions had their turn.
      addingPanel = setTimeout(() => {
        addToolbarButton(toolbarService);
        panelService.addPanel('right', PANEL_ID);
      });
  },

  onModeExit(): void {
    clearTimeout(addingPanel);
    gate?.leaveMode();
  },
};

export default extension;
