/**
 * The plugin in the newest @ohif/app there is, prereleases included: what will break is seen before it is released.
 * That it does not work there is said, and fails nothing.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ensureOhif, OHIF } from '../../server/src/viewer/ohif-package.ts';
import { browserMissing, launchBrowser, openPage, startService } from '../support/viewer.ts';
import { PANEL, until } from './panel.ts';

const kept = fileURLToPath(new URL('../../var/viewer/', import.meta.url));

test.skipIf(browserMissing)('the newest release of the viewer', { timeout: 400_000 }, async ({ skip }) => {
  const { version, outcome } = await tryNewest().catch((error: Error) => ({
    version: 'the registry',
    outcome: error.message.split('\n', 1)[0]!,
  }));
  console.log(`canary, @ohif/app ${version}: ${outcome}`);
  if (outcome !== 'works') skip(`@ohif/app ${version}: ${outcome}`);
  expect(outcome).toBe('works');
});

async function tryNewest(): Promise<{ version: string; outcome: string }> {
  const { stdout } = await promisify(execFile)('npm', ['view', '@ohif/app', 'versions', '--json']);
  const version = (JSON.parse(stdout) as string[]).at(-1)!;
  const folder = await mkdtemp(join(tmpdir(), 'canary-'));
  const browser = await launchBrowser();
  try {
    const dist = await ensureOhif({
      directory: kept,
      release: { version },
      signal: AbortSignal.timeout(180_000),
    });
    // The service serves it as if it were the release that it knows.
    await symlink(dirname(dist), join(folder, `ohif-${OHIF.version}`));
    await using service = await startService({ STAIN_VIEWER_DIRECTORY: folder });
    const { page, faults } = await openPage(browser);
    try {
      await page.goto(service.url);
      const uid = await page.evaluate(
        async () => (await (await fetch('/dicom-web/studies')).json())[0]['0020000D'].Value[0],
      );
      await page.goto(`${service.url}stain?StudyInstanceUIDs=${uid}`);
      await until(page, ({ series, templates }) => series !== null && templates.state === 'ready', 60_000);
      await page.locator(PANEL).getByRole('button', { name: 'Preview' }).click();
      await until(page, ({ preview }) => preview?.firstTileMs != null, 60_000);
      return { version, outcome: 'works' };
    } catch (error) {
      const first = (error as Error).message.split('\n', 1)[0]!.slice(0, 200);
      return {
        version,
        outcome: `does not work: ${first}${faults[0] ? `; ${faults[0].slice(0, 200)}` : ''}`,
      };
    }
  } finally {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  }
}
