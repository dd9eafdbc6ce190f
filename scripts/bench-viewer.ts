/**
 * `node scripts/bench-viewer.ts`: the preview as a pathologist meets it, in the real OHIF and Chromium: how soon it is there, and
 * what panning with it costs. Needs the plugin (`npm run build:extension`).
 *
 *   node scripts/bench-viewer.ts --minutes 5
 *   node scripts/bench-viewer.ts --size 20000 --tissue 0.25 --minutes 5
 */
import type { CDPSession } from 'playwright-core';
import type { Session } from '../extension/src/session.ts';
import type { PluginState } from '../extension/src/state.ts';
import { PANEL, state, studyOf } from '../test/e2e/panel.ts';
import { launchBrowser, openPage, startService } from '../test/support/viewer.ts';
import { readArguments } from './arguments.ts';
import { createPlace, makeSlide } from './bench-run.ts';
import { at } from './bench-service.ts';
import { residentBytes } from './measure-process.ts';

const { values } = readArguments({
  usage: 'node scripts/bench-viewer.ts',
  about: `Measures the preview in OHIF: from the click to the first tile and to the whole view, and requests, bytes, long tasks
and memory while somebody pans. The sample slide, or one that is made of it.`,
  options: {
    size: { type: 'string', value: 'PIXELS', help: 'side of a slide to make; default: the sample slide' },
    tissue: { type: 'string', default: '0.25', value: 'PART', help: 'part of that slide that is tissue' },
    transfer: { type: 'string', default: 'linear', value: 'NAME', help: 'transfer of the preview' },
    minutes: { type: 'string', default: '5', value: 'N', help: 'minutes of panning' },
  },
});

const [MOVE, MOVES_A_SECOND] = [180, 4];

await using place = await createPlace();
const side = Number(values.size);
const archive = values.size
  ? await makeSlide(place, 'archive', { columns: side, rows: side }, Number(values.tissue))
  : undefined;
await using service = await startService(archive ? { STAIN_ARCHIVE_FOLDER: archive } : {});
await using browser = await launchBrowser(['--enable-precise-memory-info']);
await using open = await openPage(browser, { viewport: { width: 1920, height: 1080 } });
const { page } = open;
await page.addInitScript(() => {
  const tasks: number[] = [];
  Object.assign(globalThis, { tasks });
  new PerformanceObserver((list) => {
    tasks.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ type: 'longtask' });
});

/** Waits for a state, by the plugin's own notice: polling would round the times. */
function until(holds: string): Promise<number> {
  return page.evaluate(
    async ([panel, text]) => {
      const { model } = document.querySelector(panel!) as unknown as { model: Session };
      const isIt = new Function('state', `return ${text}`) as (state: PluginState) => boolean;
      await new Promise<void>((resolve) => {
        const look = (): void => {
          if (!isIt(model.state)) return;
          end();
          resolve();
        };
        const end = model.subscribe(look);
        look();
      });
      return performance.now();
    },
    [PANEL, holds],
  );
}

const act = (code: string): Promise<number> =>
  page.evaluate(
    ([panel, text]) => {
      const { model } = document.querySelector(panel!) as unknown as { model: Session };
      const started = performance.now();
      (new Function('model', text!) as (of: Session) => void)(model);
      return started;
    },
    [PANEL, code],
  );

/** Milliseconds from an act until the first tile, and until all that is in sight is normalised. */
async function preview(code: string, template: string): Promise<{ first: number; whole: number }> {
  const started = await act(code);
  const whole =
    (await until(
      `state.preview?.isWhole && !state.preview.isChanging && state.preview.template === '${template}'`,
    )) - started;
  return { first: (await state(page)).preview!.firstTileMs!, whole };
}

async function enter(): Promise<readonly string[]> {
  await page.goto(`${service.url}stain?StudyInstanceUIDs=${await studyOf(new URL(service.url).origin)}`);
  await page.locator(PANEL).waitFor();
  await until(`state.templates.state === 'ready' && state.series`);
  await page.locator('.DicomMicroscopyViewer').first().waitFor();
  if (values.transfer !== 'linear') await act(`model.chooseTransfer('${values.transfer}')`);
  const { templates } = await state(page);
  return templates.state === 'ready' ? templates.value.map(({ id }) => id) : [];
}

const ms = (times: readonly number[]): string => {
  const sorted = times.toSorted((a, b) => a - b);
  const [least, middle, most] = [sorted[0]!, at(sorted, 0.5), sorted.at(-1)!].map(Math.round);
  return sorted.length === 1 ? `${middle}` : `${middle} (${least} to ${most})`;
};

/** Resident memory of all processes of the browser, those that show pages and the one that draws; shared pages count twice. */
async function browserMegabytes(): Promise<string> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const { id } = processInfo.find(({ type }) => type === 'browser')!;
  return ((await residentBytes(id)) / 1e6).toFixed(0);
}

async function pan(network: CDPSession): Promise<void> {
  let [requests, bytes] = [0, 0];
  network.on('Network.loadingFinished', ({ encodedDataLength }) => {
    requests++;
    bytes += encodedDataLength;
  });
  const heap = async (): Promise<number> => {
    await network.send('HeapProfiler.collectGarbage');
    const { usedSize } = await network.send('Runtime.getHeapUsage');
    return usedSize / 1e6;
  };
  const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
  const [middleX, middleY] = [x + width / 2, y + height / 2];
  await page.evaluate(() => (globalThis as unknown as { tasks: number[] }).tasks.splice(0));
  const before = await heap();
  const resident = [await browserMegabytes()];
  const start = performance.now();
  const end = start + Number(values.minutes) * 60_000;
  // A square of ten moves a side, so that the way does not leave the slide; then the same a level closer.
  for (let move = 0; performance.now() < end; move++) {
    const next = performance.now() + 1000 / MOVES_A_SECOND;
    const [dx, dy] = [
      [1, 0],
      [0, 1],
      [-1, 0],
      [0, -1],
    ][Math.floor(move / 10) % 4]!;
    await page.mouse.move(middleX, middleY);
    await page.mouse.down({ button: 'middle' });
    await page.mouse.move(middleX - dx! * MOVE, middleY - dy! * MOVE, { steps: 4 });
    await page.mouse.up({ button: 'middle' });
    if (move % 40 === 39) await page.mouse.wheel(0, move % 80 === 39 ? -240 : 240);
    await page.waitForTimeout(Math.max(0, next - performance.now()));
    if (performance.now() > start + resident.length * 60_000) resident.push(await browserMegabytes());
  }
  const tasks = await page.evaluate(() => (globalThis as unknown as { tasks: number[] }).tasks);
  const after = await heap();
  console.log(`| ${values.minutes} min of panning: requests | ${requests} |`);
  console.log(`| megabytes | ${(bytes / 1e6).toFixed(1)} |`);
  console.log(`| long tasks, longest in ms | ${tasks.length}, ${Math.round(Math.max(0, ...tasks))} |`);
  console.log(`| JavaScript heap before and after, MB | ${before.toFixed(0)}, ${after.toFixed(0)} |`);
  console.log(`| all processes of the browser before and after each minute, MB | ${resident.join(', ')} |`);
}

console.log('| | |\n|---|---|');
// From the opening of the page: how far the fit is when Preview can be clicked differs between versions.
const opened = performance.now();
const ids = await enter();
const untilClick = performance.now() - opened;
const unknown = await preview('model.preview()', ids[0]!);
console.log(`| fit unknown, from opening the page: first tile, ms | ${ms([untilClick + unknown.first])} |`);
console.log(`| whole view, ms | ${ms([untilClick + unknown.whole])} |`);
await act('model.stopPreview()');
await page.reload();
await enter();
await until(`state.stain.state === 'ready'`);
await page.waitForLoadState('networkidle');
const known = await preview('model.preview()', ids[0]!);
console.log(`| fit known, first preview of the page: first tile, ms | ${ms([known.first])} |`);
console.log(`| whole view, ms | ${ms([known.whole])} |`);
const changes: { first: number; whole: number }[] = [];
for (let i = 1; i <= 9; i++) {
  const id = ids[i % ids.length]!;
  changes.push(await preview(`model.chooseTemplate('${id}')`, id));
}
console.log(`| another template: first tile, ms | ${ms(changes.map(({ first }) => first))} |`);
console.log(`| whole view, ms | ${ms(changes.map(({ whole }) => whole))} |`);
const { x, y, width, height } = (await page.locator('.DicomMicroscopyViewer').first().boundingBox())!;
await page.mouse.move(x + width / 2, y + height / 3);
for (let turn = 0; turn < (values.size ? 6 : 3); turn++) await page.mouse.wheel(0, -240);
const network = await page.context().newCDPSession(page);
await network.send('Network.enable');
await pan(network);
await page.screenshot({ path: 'e2e-output/bench-viewer.png' });
