/** An archive with a name as a data source of the real prebuilt OHIF: what is asked for its slides names it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ArchiveNames } from '../../core/src/contract/archive.ts';
import { copySample } from '../support/copy-slide.ts';
import { PICTURES } from '../support/pictures.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { button, until } from './panel.ts';

describe.skipIf(browserMissing)(
  `OHIF with several archives${browserMissing ? ` (${browserMissing})` : ''}`,
  { timeout: 240_000 },
  () => {
    const shared = suiteResources();
    const archives: Record<string, ServedArchive> = {};
    const studies: Record<string, string> = {};
    let service: RunningService;
    let browser: Browser;
    let root: string;

    beforeAll(async () => {
      for (const name of ['vendor', 'research']) {
        const archive = shared.use(await serveArchive());
        const { files, studyInstanceUid } = await copySample(`seen in ${name}`, [2, 3]);
        await mkdir(join(archive.folder, 'slide'));
        for (const [i, file] of files.entries())
          await writeFile(join(archive.folder, 'slide', `${i}.dcm`), file);
        await archive.archive.rescan();
        archives[name] = archive;
        studies[name] = studyInstanceUid;
      }
      service = shared.use(
        await startService({
          STAIN_ARCHIVES: JSON.stringify({
            vendor: { url: archives['vendor']!.url, isReadOnly: true },
            research: { url: archives['research']!.url },
          }),
        }),
      );
      root = new URL(service.url).origin;
      browser = shared.use(await launchBrowser());
    }, 180_000);

    /** Opens the slide of an archive, presses the button, and tells what the job was asked to do. */
    async function normalized(page: Page, name: string): Promise<ArchiveNames> {
      const [answer] = await Promise.all([
        page.waitForResponse((response) => /\/stain\?/.test(response.url())),
        page.goto(`${root}/stain/archive-${name}?StudyInstanceUIDs=${studies[name]}`),
      ]);
      expect(new URL(answer.url()).searchParams.get('source')).toBe(name);
      expect(answer.status()).toBe(200);
      await until(page, (state) => state.stain.state === 'ready' && state.template !== null);
      const [asked] = await Promise.all([
        page.waitForRequest(
          (request) => request.method() === 'POST' && request.url().endsWith('/api/normalizations'),
        ),
        button(page, 'Normalize').click(),
      ]);
      const { source, destination } = asked.postDataJSON() as ArchiveNames;
      await until(page, (state) => state.job?.state === 'COMPLETED');
      return { source, destination };
    }

    test('they are offered among the data sources', async () => {
      await using open = await openPage(browser);
      const { page } = open;
      await page.goto(`${root}/?datasources=archive-vendor`);
      await page.getByText('Stain normalization sample').first().waitFor();
      await page.screenshot({ path: join(PICTURES, 'several-archives-list.png') });
    });

    test('of one that is read-only the result goes to the default archive, and the viewer says so', async () => {
      await using open = await openPage(browser);
      const { page } = open;
      expect(await normalized(page, 'vendor')).toEqual({ source: 'vendor', destination: undefined });
      await page.getByText('because nothing is stored in this one').first().waitFor();
      await page.screenshot({ path: join(PICTURES, 'several-archives-read-only.png') });
    });

    test('of another the result is stored beside the slide, and opened', async () => {
      await using open = await openPage(browser);
      const { page } = open;
      expect(await normalized(page, 'research')).toEqual({ source: 'research', destination: 'research' });
      await until(page, (state) => state.comparison !== null);
      await page.screenshot({ path: join(PICTURES, 'several-archives-beside.png') });
      expect(open.faults).toEqual([]);
    });
  },
);
