/** No text of the plugin is missing from its table: whoever translates that has translated all. */
import { join } from 'node:path';
import type { Page, Route } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { noteOf, noteText } from '../../core/src/notes.ts';
import type { Services } from '../../extension/src/ohif/types.ts';
import type { Session } from '../../extension/src/session.ts';
import type { PluginState } from '../../extension/src/state.ts';
import type { StringKey } from '../../extension/src/strings/translate.ts';
import { PICTURES, pictureAtRest } from '../support/pictures.ts';
import { browserMissing, type OpenPage } from '../support/viewer.ts';
import { button, drawLine, PANEL, show, slideBox, state, until } from './panel.ts';
import { plainTexts, pseudoText, speakPseudo } from './pseudo-locale.ts';
import { sampleSuite } from './sample-suite.ts';

const SOON = 20_000;

const notes = [
  noteText('SLIDE_FAINT', { density: 0.08 }),
  noteText('TISSUE_BROWN', { share: 0.2 }),
  noteText('LEVEL_MADE_OF_BASE', { columns: 2000, rows: 3000 }),
  noteText('CLASS_MOVED_WITH_ANOTHER', { class: 'dark nuclei', other: 'pale nuclei' }),
];

describe.skipIf(browserMissing)('in a pseudo-locale', { timeout: 120_000 }, () => {
  const sample = sampleSuite([{ template: 'he-violet' }, {}]);
  let opened: OpenPage;
  let page: Page;
  /** What the service says of the newest job; undefined: what it says itself. */
  let told: Partial<Job> | undefined;
  let job: Job;
  /** Names that people gave, and identifiers. */
  let data: string[];

  beforeAll(async () => {
    opened = await sample.open({ viewport: { width: 1280, height: 900 }, locale: 'de-DE' });
    page = opened.page;
    await speakPseudo(page);
    await page.route('**/api/normalizations?series=*', async (route) => {
      const answer = await route.fetch();
      const [newest] = ((await answer.json()) as { jobs: Job[] }).jobs;
      job = { ...newest!, ...told };
      await route.fulfill({ response: answer, json: { jobs: [job] } });
    });
    await page.goto(`${sample.url}stain?StudyInstanceUIDs=${sample.study}`);
    const known = await until(
      page,
      ({ templates, stain, results }) =>
        templates.state === 'ready' && stain.state === 'ready' && results.length > 1,
    );
    data = dataOf(known);
  }, 240_000);

  const said = (key: StringKey) => button(page, pseudoText(key));
  const panelText = async (): Promise<string> =>
    (await page.locator(`${PANEL} section`).allInnerTexts()).join(' ');
  /** The name of the profile, which changes with the series, is data too. */
  const untranslated = async (): Promise<string[]> => {
    const { profile } = await state(page);
    const name = profile === 'unreadable' ? null : profile?.name;
    return plainTexts(page, name ? [...data, name] : data);
  };
  const expectTranslated = async (): Promise<void> => expect(await untranslated()).toEqual([]);

  /** Asks the service anew, as "Try again" does. */
  async function reload(holds: (state: PluginState) => boolean): Promise<void> {
    await page.evaluate(
      (panel) => (document.querySelector(panel) as unknown as { model: Session }).model.retry(),
      PANEL,
    );
    await until(page, (now) => now.stain.state !== 'loading' && holds(now), SOON);
  }

  async function tell(job: Partial<Job> | undefined): Promise<void> {
    told = job;
    await reload((now) => now.job !== null && (!job?.state || now.job.state === job.state));
  }

  test('the slide, its stain, the templates and the panel’s button', async () => {
    await page.getByText(pseudoText('viewport.original')).first().waitFor();
    await page.locator('[data-cy="StainNormalize"]').waitFor();
    expect(await panelText()).toContain('2.220 × 2.967');
    await pictureAtRest(page, join(PICTURES, 'pseudo-locale.png'));
    await page.locator('[data-cy="StainNormalize"]').hover();
    await page.getByText(pseudoText('toolbar.normalize')).first().waitFor();
    // As the viewer shows it over the tab.
    const tabs = await page.evaluate(() =>
      (globalThis as unknown as { services: Services }).services.panelService
        .getPanels('right')
        .map(({ label }) => label),
    );
    expect(tabs).toContain(pseudoText('panel.title'));
    await expectTranslated();
    // The test sees what is not in the table.
    await page.evaluate((panel) => {
      const section = document.querySelector(panel)!.shadowRoot!.querySelector('section')!;
      section.title = 'Not translated';
    }, PANEL);
    expect(await untranslated()).toEqual(['Not translated']);
    await page.evaluate((panel) => {
      document.querySelector(panel)!.shadowRoot!.querySelector('section')!.removeAttribute('title');
    }, PANEL);
  });

  test('what is asked when a template is made or removed', async () => {
    await said('templates.fromRegion').click();
    await page.locator(PANEL).getByText(pseudoText('templates.dragRegion')).waitFor();
    await expectTranslated();
    await said('action.abandon').click();
    await said('templates.fromSeries').click();
    const name = page.locator(PANEL).getByRole('textbox');
    await name.waitFor();
    await expectTranslated();
    await name.fill('123');
    await said('templates.create').click();
    await until(page, ({ makingTemplate }) => makingTemplate === 'computing', SOON);
    await expectTranslated();
    await until(page, ({ makingTemplate }) => makingTemplate === null);
    await page
      .locator(PANEL)
      .getByRole('button', { name: pseudoText('templates.remove').replace('{name}', '123') })
      .click();
    await page.locator(PANEL).getByRole('alertdialog').waitFor();
    await expectTranslated();
    await said('action.abandon').click();
  });

  test('my slide under every template', async () => {
    await said('pictures.slide').click();
    await until(page, ({ pictures }) => Object.keys(pictures.urls).length > 0);
    await expectTranslated();
    await said('pictures.template').click();
  });

  test('a preview on its way, begun, failed, and late', async () => {
    const frames = Promise.withResolvers<void>();
    const hold = async (route: Route): Promise<void> => {
      await frames.promise;
      await route.fallback();
    };
    await page.route('**/frames/*', hold);
    await said('action.preview').click();
    await page.locator(PANEL).getByText(pseudoText('preview.starting')).waitFor();
    await expectTranslated();
    frames.resolve();
    await until(page, ({ preview }) => preview?.firstTileMs != null);
    await expectTranslated();
    await said('action.stopPreview').click();
    await page.unroute('**/frames/*', hold);
    await page.evaluate(
      (panel) =>
        (document.querySelector(panel) as unknown as { model: Session }).model.chooseTransfer('paper'),
      PANEL,
    );
    // What is chosen is in the address a moment later; without it the page begins with another transfer.
    await expect.poll(() => new URL(page.url()).searchParams.get('stainTransfer')).toBe('paper');
    await page.route('**/frames/*', (route) => route.abort());
    await page.route('**/api/models', (route) => route.fulfill({ json: { models: [] } }));
    await page.reload();
    await until(page, ({ stain, results }) => stain.state === 'ready' && results.length > 0);
    await said('action.preview').click();
    await until(page, ({ previewError }) => previewError !== null, SOON);
    await expectTranslated();
    await page.unroute('**/api/models');
    await said('action.preview').click();
    await until(page, ({ previewError }) => previewError !== null);
    await expectTranslated();
    await page.unroute('**/frames/*');
    await said('action.dismiss').click();
  });

  test('a job that waits, runs, is being cancelled and has lost its connection', async () => {
    const events = Promise.withResolvers<void>();
    await page.route('**/api/normalizations/*/events', async (route) => {
      await events.promise;
      await route.abort();
    });
    await tell({ state: 'SCHEDULED', progress: null, result: null });
    await expectTranslated();
    const stages = ['open', 'fetch', 'fit', 'normalize', 'store', 'verify'] as const;
    for (const stage of stages) {
      const progress = { stage, done: 1, total: 2, unit: 'tiles', fraction: 0.5, secondsLeft: 4000 } as const;
      await tell({ state: 'IN PROGRESS', progress, result: null, cancelRequested: stage === 'store' });
      await expectTranslated();
    }
    const waiting = { code: 'ARCHIVE_TIMEOUT', message: 'In English.', remedy: 'In English.' };
    await tell({ state: 'SCHEDULED', progress: null, result: null, waiting });
    await expectTranslated();
    events.resolve();
    await until(page, ({ live }) => !live, SOON);
    await expectTranslated();
    await page.unroute('**/api/normalizations/*/events');
  });

  test('a job that failed, was cancelled or is done, with notes', async () => {
    const message = 'In English.';
    const reasons = [noteText('NO_EOSIN')];
    const error = { code: 'STAIN_NOT_HE', message, remedy: message, data: { seen: 'pixels', reasons } };
    await tell({ state: 'FAILED', result: null, error });
    await expectTranslated();
    await tell({ state: 'CANCELED', result: null });
    await expectTranslated();
    await tell({ state: 'CANCELED', result: null, stored: { instances: 1, of: 3 } });
    await expectTranslated();
    told = undefined;
    await tell({});
    await tell({ result: { ...job.result!, notes: notes.map(noteOf) } });
    await expectTranslated();
    expect(await panelText()).toContain('0,08');
  });

  test('notices about the end of a job', async () => {
    told = undefined;
    await reload((now) => now.job?.state === 'COMPLETED');
    const done = job;
    for (const end of [
      {
        state: 'FAILED',
        result: null,
        error: { code: 'INTERNAL', message: 'In English.', remedy: 'In English.', data: {} },
      },
      { state: 'CANCELED', result: null },
      {},
    ] as const) {
      const ended = { ...done, ...end };
      const handle = (route: Route): Promise<void> =>
        route.fulfill({
          contentType: 'text/event-stream',
          body: `id: 9\ndata: ${JSON.stringify(ended)}\n\n`,
        });
      await page.route('**/api/normalizations/*/events', handle);
      told = { state: 'IN PROGRESS', result: null };
      await reload((now) => now.job !== null && now.job.state !== 'IN PROGRESS');
      await page.unroute('**/api/normalizations/*/events', handle);
      await page.locator('[data-sonner-toast]').first().waitFor({ timeout: SOON });
      await expectTranslated();
    }
    told = undefined;
  });

  test('every way to compare, and a derived series alone', async () => {
    await tell(undefined);
    for (const mode of ['side-by-side', 'swipe', 'blink', 'two-by-two', 'difference'] as const) {
      await said(`comparison.${mode}`).click();
      await until(page, ({ comparison }) => comparison?.mode === mode);
      await expectTranslated();
    }
    await page.locator('.stain-legend').waitFor();
    await expectTranslated();
    await said('comparison.back').click();
    await show(page, sample.results[1]!);
    await until(page, ({ profile }) => profile !== undefined, SOON);
    await page
      .locator(PANEL)
      .getByText(pseudoText('origin.title'), { exact: true })
      .first()
      .waitFor({ state: 'detached' });
    await expectTranslated();
    await said('comparison.back').click();
    await until(page, ({ series }) => series?.derived === null);
  });

  test('annotations that are drawn, refused by the archive, and kept', async () => {
    await drawLine(page, await slideBox(page));
    await until(page, ({ annotations: { list } }) => list.length === 1);
    await expectTranslated();
    await page.route('**/dicom-web/studies', (route) => route.fulfill({ status: 409 }));
    await said('annotations.keep').click();
    await until(page, ({ error }) => error?.code === 'ANNOTATIONS_NOT_KEPT', SOON);
    await expectTranslated();
    await page.unroute('**/dicom-web/studies');
    await said('action.dismiss').click();
    await said('annotations.keep').click();
    await until(page, ({ annotations }) => annotations.isKept && !annotations.isKeeping, SOON);
    await expectTranslated();
  });

  test('the service away, and what it refuses', async () => {
    const { code, ...english } = { code: 'STAIN_NOT_HE', detail: 'In English.', remedy: 'In English.' };
    const refusal = { status: 422, json: { code, ...english, data: { seen: 'header', stains: ['123'] } } };
    await page.route('**/series/*/stain?*', (route) => route.fulfill(refusal));
    await reload(({ stain }) => stain.state === 'failed');
    await expectTranslated();
    await page.unroute('**/series/*/stain?*');
    await page.route('**/api/**', (route) => route.abort());
    await page.route('**/health', (route) => route.abort());
    await reload(({ stain, service }) => stain.state === 'failed' && service.state === 'failed');
    await expectTranslated();
    await page.unroute('**/api/**');
    await page.unroute('**/health');
  });

  test('no slide yet, and the study list', async () => {
    const metadata = Promise.withResolvers<void>();
    await page.route('**/metadata*', async (route) => {
      await metadata.promise;
      await route.fallback();
    });
    await page.reload();
    await page.locator(PANEL).getByText(pseudoText('panel.noSlide')).waitFor();
    await expectTranslated();
    metadata.resolve();
    await until(page, ({ series }) => series !== null);
    await page.goto(sample.url);
    await page.getByText(/2009/).first().click();
    await page.getByText(pseudoText('mode.title')).first().waitFor();
    expect((await state(page).catch(() => null)) === null).toBe(true);
  });
});

/** What is nobody's words: names that people gave, identifiers, versions. */
function dataOf({ templates, results, series, source, job }: PluginState): string[] {
  const known = templates.state === 'ready' ? templates.value : [];
  const slides = [...results, series!, source!];
  return [
    ...known.flatMap(({ name, description }) => [name, description]),
    ...slides.map(({ description }) => description),
    ...results.flatMap(({ derived }) => [derived!.modelHash!, derived!.templateHash!]),
    job!.result!.executionProvider.replace('ExecutionProvider', ''),
    ...[
      'STAIN_NOT_HE',
      'INTERNAL',
      'ARCHIVE_TIMEOUT',
      'SERVICE_AWAY',
      'PREVIEW_FAILED',
      'PREVIEW_LATE',
      'ANNOTATIONS_NOT_KEPT',
    ],
  ];
}
