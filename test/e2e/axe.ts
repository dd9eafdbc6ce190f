/** What axe has to say. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What it finds serious or critical in some parts of the page. */
export async function seriousFindings(page: Page, parts: readonly string[]): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(
    async (selectors) => {
      const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
      const include = selectors.filter((selector) => document.querySelector(selector));
      const { violations } = await axe.run({ include });
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
    },
    [...parts],
  );
}
