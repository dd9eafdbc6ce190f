/**
 * docs/dimse.md as it stands: its configuration, script and commands, with a real Orthanc as the gateway and dcmtk as
 * scanner and PACS.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { installedOrthanc, orthancs, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { program, python, repository, runPython } from '../support/peers.ts';
import { startRulesSite, TODAY, wholeSlide } from '../support/rules-site.ts';

const page = await readFile(join(repository, 'docs/dimse.md'), 'utf8');
/** The fenced blocks: Orthanc's settings, its script, the rules. */
const [settings, script, rules] = [...page.matchAll(/```\w+\n([\s\S]*?)```/g)].map(([, block]) => block!);
const tools = ['storescu', 'storescp', 'movescu'].map(program);
const note = [...tools, python].map((one) => one.note).join('');
const isMissing = [...tools, python].some(({ missing }) => missing);

/** A command of the page, with other words in place of its examples. */
function command(name: string, replacements: Readonly<Record<string, string>>): string[] {
  const line = new RegExp(`^ {4}(${name} .*)$`, 'm').exec(page)?.[1];
  if (line === undefined) throw new Error(`docs/dimse.md has no command ${name}`);
  const replaced = Object.entries(replacements).reduce((text, [from, to]) => text.replace(from, to), line);
  return replaced.split(' ').slice(1);
}

const run = promisify(execFile);

interface Pacs extends AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  received(): Promise<string[]>;
}

/** @param change of the page's command */
async function startPacs(change: Readonly<Record<string, string>> = {}): Promise<Pacs> {
  const folder = await mkdtemp(join(tmpdir(), 'dimse-pacs-'));
  const port = await freePort();
  const words = command('storescp', { received: folder, 11112: String(port), ...change });
  const child = spawn('storescp', words, { stdio: 'ignore' });
  await expect.poll(() => isOpen(port), { timeout: 10_000, interval: 50 }).toBe(true);
  return {
    folder,
    port,
    // It writes a file before it has all of it, under another name.
    received: async () => (await readdir(folder)).filter((name) => !name.endsWith('.part')),
    async [Symbol.asyncDispose]() {
      await stop(child);
      await rm(folder, { recursive: true });
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

interface Gateway extends AsyncDisposable {
  readonly orthanc: RunningOrthanc;
  readonly dicomPort: number;
  /** Root of its REST API. */
  readonly root: string;
}

async function startGateway(which: typeof installedOrthanc, pacs: Pacs): Promise<Gateway> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'dimse-gateway-'));
  cleanup.defer(() => rm(folder, { recursive: true }));
  const lua = join(folder, 'return-results.lua');
  await writeFile(lua, script!);
  const dicomPort = await freePort();
  const orthanc = cleanup.use(
    await startOrthanc(
      which,
      {},
      {
        ...(JSON.parse(settings!) as object),
        DicomPort: dicomPort,
        DicomModalities: { pacs: ['PACS', '127.0.0.1', pacs.port] },
        LuaScripts: [lua],
        StableAge: 1,
      },
    ),
  );
  const resources = cleanup.move();
  return {
    orthanc,
    dicomPort,
    root: orthanc.url.replace('/dicom-web', ''),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

async function orthancId({ root }: Gateway, uid: string): Promise<string> {
  const found = await fetch(`${root}/tools/lookup`, { method: 'POST', body: uid });
  return ((await found.json()) as { ID: string }[])[0]!.ID;
}

/** The files of a series as Orthanc has them, in a new folder. */
async function saved(gateway: Gateway, seriesUid: string, folder: string): Promise<string> {
  await mkdir(folder);
  const series = await fetch(`${gateway.root}/series/${await orthancId(gateway, seriesUid)}`);
  const { Instances } = (await series.json()) as { Instances: string[] };
  for (const id of Instances) {
    const file = await fetch(`${gateway.root}/instances/${id}/file`);
    await writeFile(join(folder, id), new Uint8Array(await file.arrayBuffer()));
  }
  return folder;
}

async function scanned(folder: string, name: string): Promise<Awaited<ReturnType<typeof wholeSlide>>> {
  const slide = await wholeSlide(name, [2, 3], { StudyDate: TODAY });
  await mkdir(folder);
  for (const [i, file] of slide.files.entries()) await writeFile(join(folder, `${i}.dcm`), file);
  return slide;
}

/** How pydicom compares two folders. */
interface Comparison {
  readonly instances: number;
  readonly sameDataSets: boolean;
  readonly transferSyntaxes: readonly string[];
}

async function compare(one: string, other: string): Promise<Comparison> {
  return JSON.parse(await runPython('same_data_sets.py', one, other)) as Comparison;
}

describe.each(orthancs)('a PACS behind $name', (which) => {
  it.skipIf(which.missing || isMissing)(`gets every result complete and bit for bit${note}`, async () => {
    await using pacs = await startPacs();
    await using gateway = await startGateway(which, pacs);
    const { orthanc, dicomPort, root } = gateway;
    await using site = await startRulesSite(orthanc.url, (JSON.parse(rules!) as { rules: object[] }).rules, {
      STAIN_RULES_ORTHANC_URL: root,
    });
    await expect.poll(async () => (await site.rules()).search.isSurveyed, { timeout: 60_000 }).toBe(true);
    const folder = await mkdtemp(join(tmpdir(), 'dimse-test-'));
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => rm(folder, { recursive: true }));
    const peer = { 'gateway.example 4242': `127.0.0.1 ${dicomPort}` };

    const source = join(folder, 'source');
    const slide = await scanned(source, `dimse ${which.name}`);
    await run('storescu', command('storescu', { ...peer, 'folder-with-slide': source }));
    await site.untilCounts('all-slides', { COMPLETED: 1 });
    await expect.poll(pacs.received, { timeout: 30_000 }).toHaveLength(2);

    const [derived] = await site.derived(slide);
    const stored = await saved(gateway, derived!, join(folder, 'stored'));
    const whole = { instances: 2, sameDataSets: true, transferSyntaxes: ['1.2.840.10008.1.2.4.50'] };
    expect(await compare(stored, pacs.folder)).toEqual(whole);

    // The same once more, fetched by the PACS.
    for (const name of await pacs.received()) await rm(join(pacs.folder, name));
    await run(
      'movescu',
      command('movescu', {
        ...peer,
        'StudyInstanceUID=UID': `StudyInstanceUID=${slide.studyInstanceUid}`,
        'SeriesInstanceUID=UID': `SeriesInstanceUID=${derived}`,
      }),
    );
    expect(await compare(stored, pacs.folder)).toEqual(whole);
    // The slide itself was never sent back.
    expect(await pacs.received()).toHaveLength(2);

    // A rejection reaches the PACS the same way.
    const rejected = await fetch(`${site.service.url}/api/results/${derived}/reject`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{}',
    });
    expect(rejected.status).toBe(200);
    await expect.poll(pacs.received, { timeout: 30_000 }).toHaveLength(3);
  });

  it.skipIf(which.missing || isMissing)(
    `that takes nothing compressed is refused, not given other bytes${note}`,
    async () => {
      await using pacs = await startPacs({ '+xa ': '' });
      await using gateway = await startGateway(which, pacs);
      const slide = await wholeSlide(`dimse refused ${which.name}`, [3], {});
      await fetch(`${gateway.root}/instances`, { method: 'POST', body: new Uint8Array(slide.files[0]!) });
      const sent = await fetch(`${gateway.root}/modalities/pacs/store`, {
        method: 'POST',
        body: await orthancId(gateway, slide.seriesInstanceUid),
      });
      expect(sent.status).toBe(500);
      expect(await sent.text()).toContain('No valid presentation context was negotiated');
      expect(await pacs.received()).toEqual([]);
    },
  );
});

it.skipIf(isMissing || installedOrthanc.missing)(`dcmtk fails as the page says${note}`, async () => {
  await using pacs = await startPacs();
  await using gateway = await startGateway(installedOrthanc, pacs);
  const folder = await mkdtemp(join(tmpdir(), 'dimse-test-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(folder, { recursive: true }));
  const source = join(folder, 'source');
  await scanned(source, 'dimse traps');
  const send = (replacements: Readonly<Record<string, string>>) =>
    run(
      'storescu',
      command('storescu', {
        'gateway.example 4242': `127.0.0.1 ${gateway.dicomPort}`,
        'folder-with-slide': source,
        ...replacements,
      }),
    );
  await expect(send({ '-R ': '' })).rejects.toThrow('No presentation context for: (VLw)');
  await expect(send({ '-xy ': '' })).rejects.toThrow('unable to convert dataset');
  await send({});
});
