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
import { button, studyOf, until } from './panel.ts';

const kept = fileURLToPath(new URL('../../var/viewer/', import.meta.url));

test.skipIf(browserMissing)('the newest release of the viewer', { timeout: 400_000 }, async ({ skip }) => {
  const version = await newest().catch(() => undefined);
  if (!version) return skip('the registry does not answer');
  const fault = await tryOut(version).catch((error: Error) => error.message.split('\n', 1)[0]!.slice(0, 300));
  console.log(`canary, @ohif/app ${version}: ${fault ? `does not work: ${fault}` : 'works'}`);
  if (fault) skip(`@ohif/app ${version}: ${fault}`);
  expect(fault).toBeUndefined();
});

async function newest(): Promise<string | undefined> {
  const { stdout } = await promisify(execFile)('npm', ['view', '@ohif/app', 'versions', '--json']);
  return (JSON.parse(stdout) as string[]).at(-1);
}

/** Slide, panel and the first tile of a preview. @throws Error with what went wrong */
async function tryOut(version: string): Promise<undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'canary-'));
  const browser = await launchBrowser();
  try {
    const signal = AbortSignal.timeout(180_000);
    const dist = await ensureOhif({ directory: kept, release: { version }, signal });
    // The service serves it as if it were the release that it knows.
    await symlink(dirname(dist), join(folder, `ohif-${OHIF.version}`));
    await using service = await startService({ STAIN_VIEWER_DIRECTORY: folder });
    const { page } = await openPage(browser);
    const study = await studyOf(new URL(service.url).origin);
    await page.goto(`${service.url}stain?StudyInstanceUIDs=${study}`);
    await until(page, ({ series, templates }) => series !== null && templates.state === 'ready', 60_000);
    await button(page, 'Preview').click();
    await until(page, ({ preview }) => preview?.firstTileMs != null, 60_000);
  } finally {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  }
}
