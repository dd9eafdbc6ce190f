/** What is drawn on one picture of a slide is seen on all of them, stays, and is stored as one of the source's. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import type {
  CommandsManager,
  MicroscopyService,
  RoiAnnotation,
  Services,
} from '../../extension/src/ohif/types.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { dicomErrors, program, python, runPython } from '../support/peers.ts';
import { type Part, PICTURES, type Picture, pictureAtRest } from '../support/pictures.ts';
import { browserMissing } from '../support/viewer.ts';
import { backToOriginal, button, drawLine, PANEL, show, slideBox, state, until } from './panel.ts';
import { sampleSuite } from './sample-suite.ts';
import { near, stroke } from './stroke.ts';

/** Globals of OHIF's page. */
interface Viewer {
  readonly services: Omit<Services, 'microscopyService' | 'userAuthenticationService'> & {
    readonly userAuthenticationService: { setUser(user: object): void };
    readonly microscopyService: MicroscopyService & {
      getAnnotations(): (RoiAnnotation & { setLabel(label: string): void })[];
    };
  };
  readonly commandsManager: CommandsManager;
}

const dciodvfy = program('dciodvfy');
const REPORT = '1.2.840.10008.5.1.4.1.1.88.34';

describe.skipIf(browserMissing)('annotations', { timeout: 240_000 }, () => {
  const sample = sampleSuite([{}]);

  const picture = (page: Page, name: string): Promise<Picture> =>
    pictureAtRest(page, join(PICTURES, `annotations-${name}.png`));

  const enter = async (page: Page): Promise<void> => {
    await sample.enter(page);
    await pictureAtRest(page);
  };

  test('drawn on the original, are seen at the same place in every comparison and preview', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await enter(page);
    const whole = await slideBox(page);
    await drawLine(page, whole);
    const drawn = stroke(await picture(page, 'original'), whole);
    expect(drawn.width).toBeGreaterThan(100);
    const seen = async (name: string): Promise<void> =>
      expect(stroke(await picture(page, name), whole), name).toEqual(near(drawn));

    await button(page, 'Side by side').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    const beside = await picture(page, 'side-by-side');
    const [left, right] = halves(whole);
    expect(stroke(beside, right)).toEqual(near(stroke(beside, left)));
    expect(stroke(beside, left).width).toBeGreaterThan(100);

    await button(page, 'Swipe').click();
    const divider = page.getByRole('slider', { name: /divider/i });
    await divider.press('Home');
    await seen('swipe-normalised');
    await divider.press('End');
    await seen('swipe-original');
    await button(page, 'Blink').click();
    await seen('blink');
    await page.keyboard.down('o');
    await seen('blink-held');
    await page.keyboard.up('o');
    await button(page, 'Difference').click();
    await page.getByText('Difference of original and normalised').waitFor();
    await seen('difference');
    await button(page, 'Back to original').click();
    await button(page, 'Preview').click();
    await until(page, ({ preview }) => preview?.state === 'on');
    await seen('preview');
    await page.evaluate(
      (panel) =>
        (
          document.querySelector(panel) as unknown as { model: { chooseTransfer(name: string): void } }
        ).model.chooseTransfer('paper'),
      PANEL,
    );
    await until(page, ({ preview }) => preview?.mode === null && preview.isWhole);
    await seen('preview-paper');
    expect(faults).toEqual([]);
  });

  test('drawn, changed and removed beside the original, are so on both sides, and survive another series', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await enter(page);
    await button(page, 'Side by side').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    const whole = await slideBox(page);
    const [left, right] = halves(whole);
    await drawLine(page, right);
    const { annotations } = await until(page, ({ annotations: { list } }) => list.length === 1);
    expect(annotations.isKept).toBe(false);
    expect(annotations.list[0]!.shown).toBe('Normalised, Template Deep magenta, Linear, series 2');
    await page
      .locator(PANEL)
      .getByText('Drawn on: Normalised, Template Deep magenta, Linear')
      .waitFor({ state: 'attached' });
    await page.locator(PANEL).getByText('On this slide: 1').click();
    const drawn = await picture(page, 'drawn-beside');
    expect(stroke(drawn, left)).toEqual(near(stroke(drawn, right)));

    // Its lowest point, by OHIF's tool.
    await page.evaluate(() =>
      (globalThis as unknown as Viewer).commandsManager.runCommand(
        'setToolActive',
        { toolName: 'modify' },
        'MICROSCOPY',
      ),
    );
    const [x, y] = [right.x + right.width * 0.5, right.y + right.height * 0.55];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x, y + 80, { steps: 8 });
    await page.mouse.up();
    // The tool marks the point that it is over.
    await page.mouse.move(right.x + right.width - 4, right.y + right.height - 4);
    const changed = await picture(page, 'changed-beside');
    expect(stroke(changed, right).height).toBeGreaterThan(stroke(drawn, right).height + 60);
    expect(stroke(changed, left)).toEqual(near(stroke(changed, right)));

    await button(page, 'Back to original').click();
    const alone = stroke(await picture(page, 'before-series'), whole);
    await show(page, sample.results[0]!);
    expect(stroke(await picture(page, 'derived'), whole)).toEqual(near(alone));
    await backToOriginal(page);
    expect(stroke(await picture(page, 'after-series'), whole)).toEqual(near(alone));
    expect((await state(page)).annotations.list).toHaveLength(1);

    await button(page, 'Side by side').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    // As the bin in OHIF's panel of measurements does.
    await page.evaluate(() => {
      const { microscopyService } = (globalThis as unknown as Viewer).services;
      microscopyService.removeAnnotation(microscopyService.getAnnotations()[0]!);
    });
    const removed = await picture(page, 'removed');
    expect([left, right].map((half) => stroke(removed, half).width)).toEqual([-Infinity, -Infinity]);
    expect((await state(page)).annotations.list).toEqual([]);

    // Across the divider.
    await button(page, 'Swipe').click();
    await until(page, ({ comparison }) => comparison?.mode === 'swipe');
    await drawLine(page, whole);
    const across = await until(page, ({ annotations: { list } }) => list.length > 0);
    expect(across.annotations.list.map(({ shown }) => shown)).toEqual([
      'Swipe; on the left: Original; on the right: Normalised, Template Deep magenta, Linear, series 2',
    ]);
    expect(stroke(await picture(page, 'across'), whole).width).toBeGreaterThan(100);
    expect(faults).toEqual([]);
  });

  test('drawn on the result, are stored as annotations of the source, and are there after a reload', async () => {
    await using open = await sample.open();
    const { page, faults } = open;
    await enter(page);
    await show(page, sample.results[0]!);
    await pictureAtRest(page);
    const whole = await slideBox(page);
    await drawLine(page, whole);
    await page.evaluate(() => {
      const [drawn] = (globalThis as unknown as Viewer).services.microscopyService.getAnnotations();
      drawn!.setLabel('Größer als üblich');
    });
    await until(page, ({ annotations: { list } }) => list[0]?.label === 'Größer als üblich');
    const before = stroke(await picture(page, 'to-keep'), whole);
    await page.evaluate(() =>
      (globalThis as unknown as Viewer).services.userAuthenticationService.setUser({
        profile: { family_name: 'Muster', given_name: 'Jürgen' },
      }),
    );
    await button(page, 'Keep annotations').click();
    await until(page, ({ annotations }) => annotations.isKept);

    const source = (await state(page)).source!;
    const [report] = await headers(sample.root, sample.study, 'Modality=SR');
    const levels = await headers(sample.root, sample.study, `SeriesInstanceUID=${source.seriesInstanceUid}`);
    const base = levels.find((header) => valueIn(header, '00480006') === source.totalColumns)!;
    await using folder = await temporaryFolder();
    const path = await folder.write('report.dcm', await instance(sample.root, sample.study, report!));
    if (!dciodvfy.missing) expect(await dicomErrors('dciodvfy', path)).toEqual([]);
    if (!python.missing) {
      const read = JSON.parse(await runPython('read_annotations.py', path));
      expect(read).toEqual({
        source: [valueIn(base, '00080018')],
        regions: [{ type: 'POLYLINE', frame: valueIn(base, '00200052') }],
        observers: ['Muster^Jürgen'],
        texts: ['Größer als üblich', 'Normalised, Template Deep magenta, Linear, series 2'],
      });
    }

    await page.reload();
    await until(page, ({ annotations: { list }, results }) => list.length === 1 && results.length > 0);
    const kept = (await state(page)).annotations;
    expect(kept.isKept).toBe(true);
    expect(kept.list[0]!.label).toBe('Größer als üblich');
    expect(stroke(await picture(page, 'reloaded'), whole)).toEqual(near(before));
    await button(page, 'Side by side').click();
    await until(page, ({ comparison }) => comparison?.mode === 'side-by-side');
    const beside = await picture(page, 'reloaded-beside');
    const [left, right] = halves(whole);
    expect(stroke(beside, left).width).toBeGreaterThan(100);
    expect(stroke(beside, right)).toEqual(near(stroke(beside, left)));
    await button(page, 'Back to original').click();

    // OHIF's own way to open a report shows it over the source.
    await page.evaluate((reportClass) => {
      const { displaySetService, viewportGridService } = (globalThis as unknown as Viewer).services;
      const found = displaySetService
        .getActiveDisplaySets()
        .find(({ SOPClassUID }) => SOPClassUID === reportClass)!;
      viewportGridService.setDisplaySetsForViewport({
        viewportId: viewportGridService.getActiveViewportId(),
        displaySetInstanceUIDs: [found.displaySetInstanceUID],
      });
    }, REPORT);
    await until(page, ({ series }) => series === null);
    expect(stroke(await picture(page, 'report'), whole)).toEqual(near(before));

    // The last one is taken back.
    await show(page, source.seriesInstanceUid);
    await until(page, ({ annotations: { list } }) => list.length === 1);
    await pictureAtRest(page);
    await page.evaluate(() => {
      const { microscopyService } = (globalThis as unknown as Viewer).services;
      microscopyService.removeAnnotation(microscopyService.getAnnotations()[0]!);
    });
    await until(page, ({ annotations }) => annotations.list.length === 0 && !annotations.isKept);
    await button(page, 'Keep annotations').click();
    await until(page, ({ annotations }) => annotations.isKept);
    await page.reload();
    await until(page, ({ results }) => results.length > 0);
    expect(stroke(await picture(page, 'taken-back'), whole).width).toBe(-Infinity);
    expect((await state(page)).annotations.list).toEqual([]);
    expect(faults).toEqual([]);
  });
});

type Header = Readonly<Record<string, { readonly Value?: readonly unknown[] } | undefined>>;

const valueIn = (header: Header, tag: string): unknown => header[tag]?.Value?.[0];

/** All that an archive has of the instances of series. */
async function headers(root: string, study: string, series: string): Promise<Header[]> {
  const get = async (path: string): Promise<Header[]> => {
    const answer = await fetch(`${root}/dicom-web/studies/${study}${path}`, {
      headers: { Accept: 'application/dicom+json' },
    });
    return (await answer.json()) as Header[];
  };
  const found = await get(`/series?${series}`);
  const all = await Promise.all(found.map((one) => get(`/series/${valueIn(one, '0020000E')}/metadata`)));
  return all.flat();
}

/** As a file. */
async function instance(root: string, study: string, header: Header): Promise<Uint8Array> {
  const [series, sop] = ['0020000E', '00080018'].map((tag) => valueIn(header, tag));
  const answer = await fetch(`${root}/dicom-web/studies/${study}/series/${series}/instances/${sop}`, {
    headers: { Accept: 'multipart/related; type="application/dicom"' },
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  // One part between its header and the last boundary.
  const from = bytes.indexOf('\r\n\r\n') + 4;
  return bytes.subarray(from, bytes.lastIndexOf('\r\n--'));
}

function halves(part: Part): readonly [Part, Part] {
  const half = { ...part, width: part.width / 2 };
  return [half, { ...half, x: part.x + half.width }];
}
