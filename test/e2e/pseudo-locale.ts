/** A language that nobody speaks: every text of the plugin in brackets and with accents, so that any other is seen. */
import type { Page } from 'playwright-core';
import { ERROR_TABLE } from '../../core/src/errors.ts';
import { NOTE_TABLE } from '../../core/src/notes.ts';
import { en } from '../../extension/src/strings/en.ts';
import type { StringKey } from '../../extension/src/strings/translate.ts';
import { PANEL } from './panel.ts';

const PLAIN = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const ACCENTED = [...'åƀçðéƒğĥîĵķļɱñöþǫŕšţûṽŵẋýžÅƁÇÐÉƑĞĤÎĴĶĻṀÑÖÞǪŔŠŢÛṼŴẊÝŽ'];

function pseudo(text: string): string {
  // Names in braces are those of values.
  const accented = text
    .split(/(\{\w+\})/)
    .map((part) =>
      part.startsWith('{') ? part : part.replace(/[a-zA-Z]/g, (letter) => ACCENTED[PLAIN.indexOf(letter)]!),
    );
  return `⟦${accented.join('')}⟧`;
}

/** A text of the table as it is seen. */
export const pseudoText = (key: StringKey): string => pseudo(en[key]);

const faults = Object.keys(ERROR_TABLE).flatMap((code) => [
  [`fault.${code}`, pseudo(`Fault ${code} {stains} {reasons}`)],
  [`fault.${code}.remedy`, pseudo(`What to do about ${code}`)],
]);

/** Everything that can be said, and what the service says by a code. */
const STRINGS: Readonly<Record<string, string>> = Object.fromEntries([
  ...Object.entries(en).map(([key, text]) => [key, pseudo(text)]),
  ...Object.entries(NOTE_TABLE).map(([code, text]) => [`note.${code}`, pseudo(text)]),
  ...faults,
]);

/** Configures the viewer of a page as a site does that has its own words. */
export async function speakPseudo(page: Page): Promise<void> {
  await page.route('**/app-config.js', async (route) => {
    const answer = await route.fetch();
    const strings = { 'stainNormalization.strings': { $set: { de: STRINGS } } };
    const body = `${await answer.text()}window.config.customizationService = [${JSON.stringify(strings)}];`;
    await route.fulfill({ response: answer, body });
  });
}

/** What of the page is the plugin's. */
const OURS = [
  '.stain-pane-label',
  '.stain-legend',
  '.stain-overview-caption',
  '[role="slider"]',
  '[data-sonner-toast]',
  '[data-cy="StainNormalize"]',
  '[data-cy="StainNormalize-btn"]',
];

/**
 * Texts, titles and labels for screen readers that have a plain letter: what does not come from the table. Data is left
 * out, and what says of itself that it is English because it is quoted.
 */
export async function plainTexts(page: Page, data: readonly string[], element = PANEL): Promise<string[]> {
  const said = await page.evaluate(
    ([panel, ours]) => {
      const texts: string[] = [];
      const visit = (node: Node): void => {
        if (node instanceof Text) {
          const parent = node.parentElement;
          if (parent?.checkVisibility()) texts.push(node.data);
          return;
        }
        if (node instanceof Element) {
          if (node.matches('style, [lang="en"]')) return;
          // A key is called by what is printed on it.
          if (node.matches('kbd') && node.textContent?.trim().length === 1) return;
          for (const name of [
            'title',
            'aria-label',
            'aria-description',
            'placeholder',
            'alt',
            'aria-valuetext',
          ])
            texts.push(node.getAttribute(name) ?? '');
        }
        for (const child of node.childNodes) visit(child);
      };
      const { shadowRoot } = document.querySelector(panel)!;
      // What is folded up is said too.
      for (const fold of shadowRoot!.querySelectorAll('details')) fold.open = true;
      visit(shadowRoot!);
      // The viewer tells of frames that it cannot get in its own words.
      for (const element of document.querySelectorAll(ours.join()))
        if (!element.textContent?.includes('Show Details')) visit(element);
      return texts;
    },
    [element, OURS] as const,
  );
  return said
    .map((text) => text.replace(/\s+/g, ' ').trim())
    .filter((text) => /[a-zA-Z]/.test(data.reduce((rest, known) => rest.replaceAll(known, ''), text)));
}
