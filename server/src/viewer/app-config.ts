/** OHIF's configuration: our archive, our plugin, and nothing from other hosts. */
import type { Config } from '../config.ts';

export interface AppConfigOptions {
  /** Base path of the service: '' or /stain. */
  readonly basePath: string;
  /** Settings of OHIF's sign-in (oidc-client-ts); undefined if there is none. */
  readonly signIn: Readonly<Record<string, unknown>> | undefined;
  /** Those besides the default one. */
  readonly archives: readonly ShownArchive[];
}

export interface ShownArchive {
  readonly name: string;
  readonly isReadOnly: boolean;
}

/** What the viewer needs to sign in with the issuer, from the configuration. */
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

/** A template, which the viewer uses to name the archive normalised to it. */
export interface NamedTemplate {
  readonly id: string;
  readonly name: string;
}

/** The text of /app-config.js. */
export function appConfig(
  { basePath, signIn, archives }: AppConfigOptions,
  templates: readonly NamedTemplate[],
): string {
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
      dataSource('dicomweb', 'DICOMweb archive', `${basePath}/dicom-web`),
      // The same slides, normalised: /stain/normalized-{template}?StudyInstanceUIDs=...
      ...templates.map(({ id, name }) =>
        dataSource(`normalized-${id}`, `Normalised to ${name}`, `${basePath}/normalized/${id}/dicom-web`),
      ),
      // The other archives: /stain/archive-{name}?StudyInstanceUIDs=...
      ...archives.map((archive) =>
        dataSource(
          `archive-${archive.name}`,
          `Archive ${archive.name}${archive.isReadOnly ? ' (read-only)' : ''}`,
          `${basePath}/archives/${archive.name}/dicom-web`,
          archive,
        ),
      ),
    ],
    stainNormalization: { service: basePath },
    ...(signIn && { oidc: [signIn] }),
  };
  return `window.config = ${JSON.stringify(config, null, 2)};\n`;
}

/** @param archive tells the plugin what requests must name */
function dataSource(sourceName: string, friendlyName: string, root: string, archive?: ShownArchive): object {
  return {
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName,
    configuration: {
      friendlyName,
      name: sourceName,
      qidoRoot: root,
      wadoRoot: root,
      wadoUriRoot: root,
      qidoSupportsIncludeField: true,
      imageRendering: 'wadors',
      thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
      supportsFuzzyMatching: false,
      supportsWildcard: true,
      bulkDataURI: { enabled: true },
      omitQuotationForMultipartRequest: true,
      ...(archive && { stainNormalization: archive }),
    },
  };
}
