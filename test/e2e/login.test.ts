/** With a login: OHIF sends the user to the issuer, comes back with a token, and the plugin works with it. */
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  browserMissing,
  launchBrowser,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { button, until } from './panel.ts';

describe.skipIf(browserMissing)('a viewer with a login', { timeout: 180_000 }, () => {
  let issuer: Issuer;
  const shared = suiteResources();
  let service: RunningService;
  let browser: Browser;

  beforeAll(async () => {
    const port = await freePort();
    issuer = shared.use(await startIssuer(['reader'], `http://127.0.0.1:${port}`));
    service = shared.use(
      await startService({
        STAIN_SERVER_PORT: String(port),
        STAIN_OIDC_ISSUER: issuer.url,
        STAIN_OIDC_AUDIENCE: AUDIENCE,
        STAIN_OIDC_VIEWER: JSON.stringify({ client_id: 'ohif', resource: AUDIENCE }),
      }),
    );
    browser = shared.use(await launchBrowser());
  }, 120_000);

  async function signIn(page: Page): Promise<void> {
    await page.locator('input[name=login]').fill('alice');
    await page.locator('input[name=password]').fill('secret');
    await page.locator('button[type=submit]').click();
    await page.getByRole('button', { name: 'Continue' }).click();
  }
  const refusals = (faults: readonly string[]) =>
    faults.filter((fault) => fault.startsWith('4') || fault.includes('Content Security'));

  test('shows slides and normalises them for those who have signed in', async () => {
    expect((await fetch(`${service.url}dicom-web/studies`)).status).toBe(401);
    const token = await issuer.token('reader', 'stain.read');
    const studies = await fetch(`${service.url}dicom-web/studies`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    const [study] = (await studies.json()) as { '0020000D': { Value: [string] } }[];
    await using open = await openPage(browser);
    const { page, faults } = open;
    await page.goto(`${service.url}stain?StudyInstanceUIDs=${study!['0020000D'].Value[0]}`);
    await signIn(page);
    await page.getByText('Original').first().waitFor({ timeout: 60_000 });
    await until(page, ({ stain, templates }) => stain.state === 'ready' && templates.state === 'ready');
    await button(page, 'Normalize').click();
    const done = await until(page, ({ job }) => job?.state === 'COMPLETED' || job?.state === 'FAILED');
    expect(done.job).toMatchObject({ state: 'COMPLETED', requestedBy: `${issuer.url}#alice` });
    await until(page, ({ comparison }) => comparison !== null);
    const picture = process.env['STAIN_PICTURES'];
    if (picture) await page.screenshot({ path: `${picture}/login.png` });
    expect(refusals(faults)).toEqual([]);
  });

  test('asks nothing for the page of many slides before somebody has signed in', async () => {
    await using open = await openPage(browser);
    const { page, faults } = open;
    await page.goto(`${service.url}stain-batches`);
    await signIn(page);
    const list = page.locator('stain-normalization-batches');
    // The head of the table and the sample; templates to choose from.
    await expect.poll(() => list.getByRole('row').count(), { timeout: 60_000 }).toBe(2);
    await expect.poll(() => list.getByRole('option').count(), { timeout: 60_000 }).toBeGreaterThan(2);
    expect(refusals(faults)).toEqual([]);
  });
});
