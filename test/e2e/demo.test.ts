/** The README's first command, to its end: the comparison in the browser. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { browserMissing, launchBrowser, openPage } from '../support/viewer.ts';
import { until } from './panel.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

test.skipIf(browserMissing)(
  'the demo ends with an address that shows original and normalised slide side by side',
  { timeout: 300_000 },
  async () => {
    const demo = spawn(process.execPath, ['scripts/demo.ts'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const browser = await launchBrowser();
    try {
      let said = '';
      for await (const chunk of demo.stdout) {
        said += chunk;
        if (said.includes('Ctrl-C ends.')) break;
      }
      const address = /side by side: (\S+)/.exec(said)?.[1];
      expect(address, said).toBeDefined();
      await using open = await openPage(browser);
      await open.page.goto(address!);
      const { comparison } = await until(open.page, (now) => now.comparison !== null);
      expect(address).toContain(comparison!.normalized.seriesInstanceUid);
      expect(open.faults).toEqual([]);
    } finally {
      await browser.close();
      demo.kill('SIGTERM');
      if (demo.exitCode === null) await once(demo, 'exit');
    }
  },
);
