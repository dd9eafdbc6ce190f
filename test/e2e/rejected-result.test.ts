/** A study that holds a rejected result and the document that rejects it. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PICTURES, pictureAtRest } from '../support/pictures.ts';
import { browserMissing, launchBrowser, openPage, startService } from '../support/viewer.ts';
import { enterStain, normalizeSample, studyOf, until } from './panel.ts';

describe.skipIf(browserMissing)('a rejected result', { timeout: 240_000 }, () => {
  test('is no result for the panel, and the viewer shows the study without a fault', async () => {
    await using service = await startService();
    const root = new URL(service.url).origin;
    const study = await studyOf(root);
    const derived = await normalizeSample(root, study);
    const answer = await fetch(`${root}/api/results/${derived}/reject`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    });
    expect(answer.status).toBe(200);

    await using browser = await launchBrowser();
    await using open = await openPage(browser);
    const { page, faults } = open;
    await enterStain(page, service.url, study, ({ source, job }) => source !== null && job === null);
    // The result comes and goes: the viewer tells of the series first, the service of its rejection then.
    await until(page, ({ results, stain }) => stain.state === 'ready' && results.length === 0);
    await pictureAtRest(page, join(PICTURES, 'rejected-result.png'));
    expect(faults).toEqual([]);
  });
});
