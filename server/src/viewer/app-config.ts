/** OHIF's configuration: our archive, our plugin and nothing of other hosts. */
import type { Config } from '../config.ts';

export interface AppConfigOptions {
  /** Path of the service, '' or /stain. */
  readonly basePath: string;
  /** Settings of OHIF's sign-in (oidc-client-ts); without them it has none. */
  readonly signIn: Readonly<Record<string, unknown>> | undefined;
}

/** What the viewer needs to sign in at the issuer, from the configuration. */
export function signInOf({ oidc }: Pick<Config, 'oidc'>): AppConfigOptions['signIn'] {
  if (oidc.issuer === undefined || oidc.viewer['client_id'] === undefined) return undefined;
  return {
    authority: oidc.issuer,
    redirect_uri: '/callback',
    post_logout_redirect_uri: '/',
    response_type: 'code',
    scope: `openid ${oidc.readScope} ${oidc.normalizeScope}`,
    ...oidc.viewer,
  };
}

/** The text of /app-config.js. */
export function appConfig({ basePath, signIn }: AppConfigOptions): string {
  const archive = `${basePath}/dicom-web`;
  const config = {
    routerBasename: '/',
    showStudyList: true,
    extensions: ['/plugins/stain-normalization.mjs'],
    modes: ['/plugins/stain-normalization-mode.mjs'],
    customizationService: {},
    maxNumberOfWebWorkers: 3,
    showLoadingIndicator: true,
    // Every derived image carries its own warning; OHIF's banner would cover the slide on each visit.
    investigationalUseDialog: { option: 'never' },
    defaultDataSourceName: 'dicomweb',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'dicomweb',
        configuration: {
          friendlyName: 'DICOMweb archive',
          name: 'dicomweb',
          qidoRoot: archive,
          wadoRoot: archive,
          wadoUriRoot: archive,
          qidoSupportsIncludeField: true,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          bulkDataURI: { enabled: true },
          omitQuotationForMultipartRequest: true,
        },
      },
    ],
    stainNormalization: { service: basePath },
    ...(signIn && { oidc: [signIn] }),
  };
  return `window.config = ${JSON.stringify(config, null, 2)};\n`;
}
