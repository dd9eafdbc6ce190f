/** OHIF's configuration: our archive, our plugin and nothing of other hosts. */

export interface AppConfigOptions {
  /** Path of the service, '' or /stain. */
  readonly basePath: string;
}

/** The text of /app-config.js. */
export function appConfig({ basePath }: AppConfigOptions): string {
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
  };
  return `window.config = ${JSON.stringify(config, null, 2)};\n`;
}
