/** The product as users see it: the service as a process, and OHIF in a real Chromium. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const root = fileURLToPath(new URL('../../', import.meta.url));
const CHROMIUM = '/usr/bin/chromium';

/** What is missing to run a browser here; undefined if it can run. In CI it must. */
export const browserMissing = existsSync(CHROMIUM) ? undefined : 'no Chromium';
if (browserMissing && process.env.CI) throw new Error(`${browserMissing}; .ci/run installs it`);

/** WebGL in software; nothing that contacts other hosts. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
];

export interface RunningService extends AsyncDisposable {
  /** Root of the viewer, with a slash at its end. */
  readonly url: string;
}

/** `serve` over the sample slide, or in front of another archive. @param environment variables besides the folders */
export async function startService(environment: Record<string, string> = {}): Promise<RunningService> {
  const folder = await mkdtemp(join(tmpdir(), 'viewer-test-'));
  const archive = join(folder, 'archive');
  await mkdir(archive);
  await cp(join(root, 'scripts/sample'), archive, {
    recursive: true,
    filter: (path) => !path.endsWith('.md'),
  });
  const service = spawn(process.execPath, [join(root, 'server/src/main.ts'), 'serve'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      STAIN_SERVER_PORT: '0',
      STAIN_ARCHIVE_FOLDER: archive,
      // Downloaded once for all runs in this checkout; a relative path, as in the default configuration.
      STAIN_VIEWER_DIRECTORY: relative(folder, join(root, 'var/viewer')),
      STAIN_LOG_LEVEL: 'error',
      ...environment,
    },
  });
  const stop = async (): Promise<void> => {
    if (service.exitCode === null) {
      service.kill('SIGTERM');
      await once(service, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { url: await viewerAddress(service), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function viewerAddress(service: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    // Read as long as the service lives: it would fail on a pipe without a reader.
    service.stderr!.on('data', (chunk) => {
      said += chunk;
      const url = /viewer\s+(http:\/\/[^\s/]+\/)/.exec(said)?.[1];
      if (url) resolve(url);
    });
    service.once('exit', (code) => reject(new Error(`the service ended with ${code}: ${said}`)));
  });
}

export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors of the console and of scripts, and responses of 400 and above, since the page was opened. */
  readonly faults: readonly string[];
}

/** @param flags besides the usual ones */
export async function launchBrowser(flags: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags] });
}

export async function openPage(
  browser: Browser,
  options: Parameters<Browser['newContext']>[0] = { viewport: { width: 1280, height: 720 } },
): Promise<OpenPage> {
  const context: BrowserContext = await browser.newContext(options);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => faults.push(String(error.stack)));
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`);
  });
  return { page, faults, [Symbol.asyncDispose]: () => context.close() };
}
