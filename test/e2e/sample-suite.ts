/**
 * What most suites of the viewer start with: the sample slide in a service of its own, results of it, and a browser.
 * The archive is the embedded one, or an Orthanc if STAIN_TESTS_ARCHIVE is `orthanc`. STAIN_TESTS_SLIDE makes a slide of that many
 * pixels a side of the sample, and shows it instead.
 */
import type { Browser, Page } from 'playwright-core';
import { beforeAll } from 'vitest';
import type { PluginState } from '../../extension/src/state.ts';
import { sendSample, startOrthanc } from '../support/orthanc.ts';
import { suiteResources } from '../support/suite-resources.ts';
import {
  launchBrowser,
  type OpenPage,
  openPage,
  type RunningService,
  startService,
} from '../support/viewer.ts';
import { enterStain, normalizeSample, studyOf } from './panel.ts';

/** All of a made slide is tissue: tests look where the sample has some. */
const TISSUE = 1;

export interface SampleSuite {
  /** Root of the viewer, with a slash at its end. */
  readonly url: string;
  /** Root of the service, without one. */
  readonly root: string;
  readonly study: string;
  /** The derived series, in the order of the requests. */
  readonly results: readonly string[];
  /** Normalises the slide once more. Answers the new series. */
  normalize(wanted?: object): Promise<string>;
  /** A page of its own. */
  open(options?: Parameters<typeof openPage>[1]): Promise<OpenPage>;
  /** Opens the slide, and waits until the panel knows every result of the suite, and more if that is wanted. */
  enter(page: Page, holds?: (state: PluginState) => boolean): Promise<void>;
}

/** Call it where the suite is described. @param requests of the normalisations that are made before the first test */
export function sampleSuite(requests: readonly object[] = []): SampleSuite {
  const shared = suiteResources();
  let service: RunningService;
  let browser: Browser;
  let study: string;
  const results: string[] = [];
  const archive = async (): Promise<Record<string, string>> => {
    const side = Number(process.env['STAIN_TESTS_SLIDE'] ?? 0);
    if (side > 0) {
      // It brings half of the server with it.
      const { createPlace, makeSlide } = await import('../../scripts/bench-run.ts');
      const place = shared.use(await createPlace());
      return {
        STAIN_ARCHIVE_FOLDER: await makeSlide(place, 'archive', { columns: side, rows: side }, TISSUE),
      };
    }
    if (process.env['STAIN_TESTS_ARCHIVE'] !== 'orthanc') return {};
    const orthanc = shared.use(await startOrthanc());
    await sendSample(orthanc);
    return { STAIN_DICOMWEB_URL: orthanc.url };
  };
  const suite = {
    get url() {
      return service.url;
    },
    get root() {
      return new URL(service.url).origin;
    },
    get study() {
      return study;
    },
    results,
    async normalize(wanted: object = {}) {
      const series = await normalizeSample(suite.root, study, wanted);
      results.push(series);
      return series;
    },
    open: (options?: Parameters<typeof openPage>[1]) => openPage(browser, options),
    enter: (page: Page, holds: (state: PluginState) => boolean = () => true) =>
      enterStain(page, service.url, study, (now) => now.results.length >= results.length && holds(now)),
  };
  beforeAll(async () => {
    service = shared.use(await startService(await archive()));
    study = await studyOf(suite.root);
    for (const request of requests) await suite.normalize(request);
    browser = shared.use(await launchBrowser());
  }, 180_000);
  return suite;
}
