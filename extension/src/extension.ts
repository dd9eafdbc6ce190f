/** The OHIF extension: panel, commands and toolbar button, for our own mode and for others. */
import { DEFAULT_MODEL } from '../../core/src/contract/default-model.ts';
import { BatchModel } from './batches/batch-model.ts';
import { defineBatchPage } from './batches/batch-page.ts';
import { batchCustomizations } from './batches/batch-route.ts';
import { COMMANDS_CONTEXT, EXTENSION_ID, ICON, PANEL_ID, PANEL_NAME } from './identity.ts';
import { ModeGate } from './mode-gate.ts';
import type { RegistrationContext } from './ohif/types.ts';
import { ViewerHost } from './ohif/viewer-host.ts';
import { defineStainPanel, STAIN_PANEL_ELEMENT } from './panel/panel.ts';
import { PreviewFactory } from './preview-factory.ts';
import { ServiceClient } from './service/service-client.ts';
import { Session } from './session.ts';
import { showHelpCard } from './shortcuts/help-card.ts';
import { useHotkeysOf } from './shortcuts/shortcuts.ts';
import { whileHeld } from './shortcuts/while-held.ts';
import type { ComparisonMode } from './state.ts';
import { keepCustomizations, readSiteStrings } from './strings/site-strings.ts';
import { translate } from './strings/translate.ts';
import { addToolbarButton } from './toolbar-button.ts';

let session: Session | undefined;
let gate: ModeGate<Session> | undefined;
let client: ServiceClient | undefined;
/** While the page of many slides is shown. */
let batches: BatchModel | undefined;
let addingPanel: ReturnType<typeof setTimeout> | undefined;

/**
 * URL of the folder with the worker and the runtime: where this file was loaded from, unless it was built into a
 * viewer.
 */
function pluginFolder({ stainNormalization }: RegistrationContext['appConfig']): URL {
  const folder = stainNormalization?.plugins;
  return folder === undefined ? new URL('.', import.meta.url) : new URL(`${folder}/`, location.origin);
}

/** URL of the service: as configured, or the host of this plugin. */
function serviceRoot(appConfig: RegistrationContext['appConfig']): string {
  const service = appConfig.stainNormalization?.service;
  const root =
    service === undefined ? new URL('..', pluginFolder(appConfig)) : new URL(`${service}/`, location.origin);
  let { href } = root;
  while (href.endsWith('/')) href = href.slice(0, -1);
  return href;
}

/** Routes of OHIF's own microscopy mode, which does not list our panel: it is added when the mode is entered. */
const OWN_MICROSCOPY = /\/microscopy(\/|\?|$)/;

const extension = {
  id: EXTENSION_ID,

  preRegistration(context: RegistrationContext): void {
    keepCustomizations(context.servicesManager.services.customizationService);
    const host = new ViewerHost(context);
    client = new ServiceClient(serviceRoot(context.appConfig), host.authorization);
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
    useHotkeysOf(context.hotkeysManager);
    defineStainPanel();
    defineBatchPage();
  },

  getCustomizationModule({ appConfig, servicesManager }: RegistrationContext) {
    const { routerBasename = '', oidc = [] } = appConfig;
    const { userAuthenticationService } = servicesManager.services;
    const base = routerBasename.endsWith('/') ? routerBasename : `${routerBasename}/`;
    const mounted = (element: HTMLElement | null): void => {
      batches?.close();
      batches = undefined;
      if (!element || !client) return;
      // OHIF shows the page for a moment before it sends the user to the login, and again afterwards.
      if (oidc.length > 0 && !userAuthenticationService.getAuthorizationHeader()?.Authorization) return;
      const batch = new URLSearchParams(location.search).get('batch') ?? undefined;
      batches = new BatchModel(client, batch);
      Object.assign(element, { model: batches, base });
    };
    return [
      {
        name: 'global',
        value: batchCustomizations(base, mounted),
      },
    ];
  },

  getPanelModule() {
    return [
      {
        name: PANEL_NAME,
        iconName: ICON,
        // Read when the panel is drawn: the words of a site are known by then.
        get iconLabel() {
          return translate('panel.title');
        },
        get label() {
          return translate('panel.title');
        },
        // OHIF's React is not given to plugins; an element of React 18 is an object of this form.
        component: (): object => ({
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

  getCommandsModule(): {
    defaultContext: string;
    definitions: Record<string, { commandFn(options?: object): void }>;
  } {
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
        against,
        others,
      }: {
        mode?: ComparisonMode;
        series?: string;
        against?: string;
        others?: readonly string[];
      } = {}) => gate?.forCommand()?.compare(mode, series, against, others),
      cancelNormalization: () => gate?.forCommand()?.cancel(),
      showOriginal: () => gate?.forCommand()?.showOriginal(),
      nextTemplate: () => gate?.forCommand()?.stepTemplate(1),
      previousTemplate: () => gate?.forCommand()?.stepTemplate(-1),
      togglePreview: () => gate?.forCommand()?.togglePreview(),
      holdOriginal: ({ evt }: { evt?: KeyboardEvent } = {}) => {
        const at = gate?.forCommand();
        // A key that is held down says so again and again.
        if (!at || !evt || at.state.isOriginalHeld) return;
        at.lookAtOriginal(true);
        whileHeld(evt, () => at.lookAtOriginal(false));
      },
      showShortcuts: () => showHelpCard(),
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
    const { toolbarService, panelService } = servicesManager.services;
    readSiteStrings();
    gate?.enterMode(panelService);
    if (OWN_MICROSCOPY.test(location.pathname))
      // The mode sets its toolbar after the extensions were called.
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
