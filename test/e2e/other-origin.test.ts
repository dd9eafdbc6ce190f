/**
 * docs/viewer.md, "In an OHIF of your own": OHIF and the plugin's folder on one origin, service and archive on another. What is
 * compared is what is on the screen.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express from 'express';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { ensureOhif } from '../../server/src/viewer/ohif-package.ts';
import { freePort } from '../support/free-port.ts';
import { repository } from '../support/peers.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { button, studyOf, until } from './panel.ts';

describe.skipIf(browserMissing)('OHIF on another origin than the service', () => {
  const shared = suiteResources();
  let service: RunningService;
  let origin: string;
  let browser: Browser;

  beforeAll(async () => {
    const port = await freePort();
    origin = `http://127.0.0.1:${port}`;
    service = shared.use(await startService({ STAIN_SERVER_ALLOWED_ORIGINS: origin }));
    const dist = await ensureOhif({
      directory: join(repository, 'var/viewer'),
      signal: AbortSignal.timeout(120_000),
    });
    const viewer = await serveViewer(dist, port, service.url.replace(/\/$/, ''));
    shared.defer(() => {
      viewer.closeAllConnections();
      viewer.close();
    });
    browser = shared.use(await launchBrowser());
  }, 300_000);

  test('shows the slide, its stain and a preview', async () => {
    await using opened = await openPage(browser);
    const { page, faults } = opened;
    const study = await studyOf(new URL(service.url).origin);
    await page.goto(`${origin}/stain?StudyInstanceUIDs=${study}`);
    await until(page, ({ series, templates, stain }) =>
      Boolean(series && templates.state === 'ready' && stain.state === 'ready'),
    );
    await page.getByText('Original').first().waitFor();
    // Frames that a browser may not read leave the slide black.
    await expect
      .poll(async () => tissueOf(await page.screenshot()), { timeout: 30_000 })
      .toBeGreaterThan(0.05);
    await button(page, /^Preview/).click();
    await until(page, ({ preview }) => preview !== null);
    await page.getByText('Preview, normalised').first().waitFor({ timeout: 60_000 });
    expect(faults).toEqual([]);
  }, 180_000);
});

/** A viewer as a site would set it up: static files, and app-config.js with the lines of docs/viewer.md. */
async function serveViewer(dist: string, port: number, root: string): Promise<Server> {
  const config = `window.config = ${JSON.stringify({
    routerBasename: '/',
    showStudyList: true,
    extensions: ['/plugins/stain-normalization.mjs'],
    modes: ['/plugins/stain-normalization-mode.mjs'],
    customizationService: {},
    investigationalUseDialog: { option: 'never' },
    defaultDataSourceName: 'dicomweb',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'dicomweb',
        configuration: {
          friendlyName: 'Archive',
          name: 'dicomweb',
          qidoRoot: `${root}/dicom-web`,
          wadoRoot: `${root}/dicom-web`,
          wadoUriRoot: `${root}/dicom-web`,
          qidoSupportsIncludeField: true,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          enableStudyLazyLoad: true,
          bulkDataURI: { enabled: true },
          omitQuotationForMultipartRequest: true,
        },
      },
    ],
    stainNormalization: { service: root },
  })};`;
  const app = express();
  app.get('/app-config.js', (_request, response) => void response.type('js').send(config));
  app.use('/plugins', express.static(join(repository, 'extension/dist/plugin')));
  app.use(express.static(dist));
  app.get('/*path', (_request, response) => response.sendFile(join(dist, 'index.html')));
  const server = createServer(app).listen(port, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  expect((server.address() as AddressInfo).port).toBe(port);
  return server;
}

/** Part of a picture that is as violet or pink as a stained section. */
async function tissueOf(png: Buffer): Promise<number> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  let stained = 0;
  for (let at = 0; at < data.length; at += 3) {
    const [red, green, blue] = [data[at]!, data[at + 1]!, data[at + 2]!];
    if (red > 90 && red - green > 25 && blue - green > 15) stained++;
  }
  return stained / (info.width * info.height);
}
