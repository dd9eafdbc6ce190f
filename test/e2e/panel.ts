/** The slide and the plugin's panel in a page, as tests drive them. */
import { setTimeout } from 'node:timers/promises';
import type { Page, Route } from 'playwright-core';
import { expect } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import type { CommandsManager, Services } from '../../extension/src/ohif/types.ts';
import type { Session } from '../../extension/src/session.ts';
import type { PluginState } from '../../extension/src/state.ts';
import { type Part, slidesDrawn } from '../support/pictures.ts';

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

/**
 * Records every stage of a job that the panel receives from now on, even one too short for a test to see.
 * @returns the stages so far
 */
export async function watchStages(page: Page): Promise<() => Promise<readonly string[]>> {
  const seen = await page.evaluateHandle((panel) => {
    const { model } = document.querySelector(panel) as unknown as { model: Session };
    const stages: string[] = [];
    model.subscribe(() => {
      const stage = model.state.job?.progress?.stage;
      if (stage) stages.push(stage);
    });
    return stages;
  }, PANEL);
  return () => seen.jsonValue();
}

/** Normalises the slide of a study before anybody looks. Answers the new series. @param root as above */
export async function normalizeSample(
  root: string,
  studyInstanceUid: string,
  wanted: object = {},
): Promise<string> {
  const series = await fetch(`${root}/dicom-web/studies/${studyInstanceUid}/series`, {
    headers: { Accept: 'application/dicom+json' },
  });
  const [first] = (await series.json()) as { '0020000E': { Value: [string] } }[];
  const { templates } = (await (await fetch(`${root}/api/templates`)).json()) as {
    templates: { id: string }[];
  };
  const asked = await fetch(`${root}/api/normalizations`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      studyInstanceUid,
      seriesInstanceUid: first!['0020000E'].Value[0],
      template: templates[0]!.id,
      ...wanted,
    }),
  });
  let job = (await asked.json()) as Job;
  while (!job.result) {
    if (job.error) throw new Error(job.error.message);
    await setTimeout(200);
    job = (await (await fetch(`${root}/api/normalizations/${job.id}`)).json()) as Job;
  }
  return job.result.seriesInstanceUid;
}

/** Turns the wheel over a place of the slide, given in parts of its width and height, and leaves the slide. */
export async function turnWheel(
  page: Page,
  turns: number,
  [across, down]: readonly [number, number],
): Promise<void> {
  await slidesDrawn(page);
  const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
  await page.mouse.move(x + width * across, y + height * down);
  for (let turn = 0; turn < Math.abs(turns); turn++) await page.mouse.wheel(0, turns > 0 ? -240 : 240);
  await page.mouse.move(x + width - 2, y + height - 2);
}

/** The whole of the viewport. */
export async function slideBox(page: Page): Promise<Part> {
  const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
  return { x: Math.ceil(x), y: Math.ceil(y), width: Math.floor(width), height: Math.floor(height) };
}

/** Draws a line that goes down and up again, in the middle of a part of the page. */
export async function drawLine(page: Page, { x, y, width, height }: Part): Promise<void> {
  await page.evaluate(() =>
    (globalThis as unknown as { commandsManager: CommandsManager }).commandsManager.runCommand(
      'setToolActive',
      { toolName: 'freehandline' },
      'MICROSCOPY',
    ),
  );
  const at = (across: number, down: number) => [x + width * across, y + height * down] as const;
  await page.mouse.move(...at(0.4, 0.4));
  await page.mouse.down();
  await page.mouse.move(...at(0.5, 0.55), { steps: 8 });
  await page.mouse.move(...at(0.6, 0.4), { steps: 8 });
  await page.mouse.up();
}

/** Where the slide is, without labels, overview and scale. */
export async function slidePart(page: Page): Promise<Part> {
  const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
  const [left, top] = [Math.ceil(x) + 256, Math.ceil(y) + 120];
  return {
    x: left,
    y: top,
    width: Math.floor(x + width) - left - 16,
    height: Math.floor(y + height) - top - 48,
  };
}

/** Shows a series as a double click on its thumbnail does. */
export async function show(page: Page, series: string): Promise<void> {
  await page.evaluate((uid) => {
    const { displaySetService, viewportGridService } = (globalThis as unknown as { services: Services })
      .services;
    const found = displaySetService
      .getActiveDisplaySets()
      .find(({ SeriesInstanceUID }) => SeriesInstanceUID === uid)!;
    viewportGridService.setDisplaySetsForViewport({
      viewportId: viewportGridService.getActiveViewportId(),
      displaySetInstanceUIDs: [found.displaySetInstanceUID],
    });
  }, series);
  await until(page, (now) => now.series?.seriesInstanceUid === series);
  await viewerShows(page, series);
}

/** Waits until the viewer of a series is there, where the one before it may still be: OHIF changes them later than its state. */
async function viewerShows(page: Page, series: string): Promise<void> {
  await page.waitForFunction((uid) => {
    const { microscopyService } = (globalThis as unknown as { services: Services }).services;
    return microscopyService!
      .getAllManagedViewers()
      .some(
        ({ seriesInstanceUID, container }) =>
          seriesInstanceUID === uid && container.isConnected && container.querySelector('.ol-viewport'),
      );
  }, series);
}

/** From a derived series to its source. */
export async function backToOriginal(page: Page): Promise<void> {
  await button(page, 'Back to original').click();
  const { series } = await until(page, (now) => now.series?.derived === null);
  await viewerShows(page, series!.seriesInstanceUid);
}

/** Opens a study in the mode, and waits until its slide is labelled and the state is as it should be. */
export async function enterStain(
  page: Page,
  root: string,
  study: string,
  holds: (state: PluginState) => boolean,
): Promise<void> {
  await page.goto(`${root}stain?StudyInstanceUIDs=${study}`);
  await until(page, (now) => now.templates.state === 'ready' && holds(now));
  await page.locator('.stain-pane-label').first().waitFor();
  await slidesDrawn(page);
}

/** Waits until no notice lies over the slide. */
export async function noticesGone(page: Page): Promise<void> {
  const notices = page.locator('[data-sonner-toast]');
  await expect.poll(() => notices.count(), { timeout: 60_000, interval: 500 }).toBe(0);
}

/** For this page the jobs of a series are still running. @returns ends it: the page may hear how they went */
export async function keepUnfinished(page: Page, end: (route: Route) => Promise<void>): Promise<() => void> {
  const unfinished = { state: 'IN PROGRESS', result: undefined, error: undefined };
  await page.route('**/api/normalizations?series=*', async (route) => {
    const answer = await route.fetch();
    const { jobs } = (await answer.json()) as { jobs: object[] };
    await route.fulfill({
      response: answer,
      json: { jobs: jobs.map((job) => ({ ...job, ...unfinished })) },
    });
  });
  const ending = Promise.withResolvers<void>();
  await page.route('**/api/normalizations/*/events', async (route) => {
    await ending.promise;
    await end(route);
  });
  return ending.resolve;
}

export interface Label {
  readonly role: string;
  readonly text: string;
}

/** Labels as far as they can be seen: what a pane cuts off does not count. */
export function labelsOf(page: Page): Promise<Label[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('.stain-pane-label')]
      .filter((label) => {
        const [box, pane] = [label, label.parentElement!].map((one) => one.getBoundingClientRect());
        return Math.min(box!.right, pane!.right) > Math.max(box!.left, pane!.left);
      })
      .map((label) => ({ role: label.dataset['role']!, text: label.innerText })),
  );
}

/** Frames that the page asks for are kept waiting from now on, and refused or let through on demand. */
export async function holdFrames(page: Page) {
  const waiting: Route[] = [];
  let decision: 'wait' | 'go' | 'refuse' = 'wait';
  const answer = (route: Route): Promise<void> =>
    decision === 'go' ? route.continue() : route.fulfill({ status: 503, body: 'no' });
  await page.route('**/frames/*', (route) => {
    if (decision !== 'wait') return answer(route);
    waiting.push(route);
  });
  const decide = async (what: 'go' | 'refuse'): Promise<void> => {
    decision = what;
    await Promise.all(waiting.splice(0).map((route) => answer(route).catch(() => {})));
  };
  const go = async (count: number): Promise<void> => {
    await Promise.all(waiting.splice(0, count).map((route) => route.continue().catch(() => {})));
  };
  const tilesDone = async (): Promise<number> => (await state(page)).preview?.tilesDone ?? 0;
  return {
    count: () => waiting.length,
    go,
    refuse: () => decide('refuse'),
    /** Lets frames through until there is a tile: one at a time, and the next when that alone has not made it. */
    async untilTile() {
      await expect.poll(() => waiting.length, { timeout: 60_000 }).toBeGreaterThan(0);
      while ((await tilesDone()) < 1) {
        await go(1);
        await expect
          .poll(tilesDone, { timeout: 2000 })
          .toBeGreaterThan(0)
          .catch(() => {});
      }
    },
    async end() {
      await decide('go');
      await page.unroute('**/frames/*');
    },
  };
}
