/** The slide and the plugin's panel in a page, as tests drive them. */
import type { Page } from 'playwright-core';
import type { Session } from '../../extension/src/session.ts';
import type { PluginState } from '../../extension/src/state.ts';

export const PANEL = 'stain-normalization-panel';

export const button = (page: Page, name: string | RegExp) =>
  page.locator(PANEL).getByRole('button', { name });

/** The one study of an archive. @param root URL of the service, without a slash at its end */
export async function studyOf(root: string): Promise<string> {
  const answer = await fetch(`${root}/dicom-web/studies`, { headers: { Accept: 'application/dicom+json' } });
  const [study] = (await answer.json()) as { '0020000D': { Value: [string] } }[];
  return study!['0020000D'].Value[0];
}

export function state(page: Page): Promise<PluginState> {
  return page.evaluate(
    (panel) =>
      JSON.parse(
        JSON.stringify((document.querySelector(panel) as unknown as { model: Session }).model.state),
      ),
    PANEL,
  );
}

export async function until(
  page: Page,
  holds: (state: PluginState) => boolean,
  ms = 120_000,
): Promise<PluginState> {
  for (const end = Date.now() + ms; ; ) {
    const now = await state(page).catch(() => undefined);
    if (now && holds(now)) return now;
    if (Date.now() > end)
      throw new Error(`not reached: ${JSON.stringify({ ...now, templates: undefined })?.slice(0, 2000)}`);
    await page.waitForTimeout(200);
  }
}
