/** What deploy/ has for operators, held against a real service, Prometheus' own checks, systemd's and logrotate. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { verifyAuditTrail } from '../../server/src/audit/verify-trail.ts';
import { loadConfig } from '../../server/src/config.ts';
import { freePort } from '../support/free-port.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';

const deploy = join(repository, 'deploy');
const read = (path: string): Promise<string> => readFile(join(deploy, path), 'utf8');
const run = promisify(execFile);

const PROMTOOL = '/usr/bin/promtool';
const LOGROTATE = '/usr/sbin/logrotate';
const missing =
  postgresMissing ??
  (existsSync(PROMTOOL) ? undefined : 'no promtool') ??
  (existsSync(LOGROTATE) ? undefined : 'no logrotate');
if (missing && process.env.CI) throw new Error(`${missing}; .ci/run installs it`);

const UNITS = ['stain-normalization', 'stain-normalization-worker'] as const;

/** Environment of a unit, with its folders below this one. */
async function environmentOf(unit: (typeof UNITS)[number], folder: string): Promise<Record<string, string>> {
  const text = await read(`systemd/${unit}.service`);
  const variables = [...text.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [
    name!,
    value!
      .replace('%S/stain-normalization', join(folder, 'state'))
      .replace('%L/stain-normalization', join(folder, 'log'))
      .replace('/etc/stain-normalization', folder),
  ]);
  return Object.fromEntries(variables);
}

/** Expressions of a dashboard, with its variables as Grafana replaces them. */
async function dashboardExpressions(): Promise<string[]> {
  const { panels } = JSON.parse(await read('grafana/dashboard.json')) as {
    panels: { targets?: { expr: string }[] }[];
  };
  return panels
    .flatMap(({ targets = [] }) => targets)
    .map(({ expr }) => expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', 'stain-normalization'));
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
}
const alerts = async (): Promise<Rule[]> =>
  parse(await read('prometheus/rules.yaml')).groups.flatMap(({ rules }: { rules: Rule[] }) => rules);

describe.skipIf(missing)(`deploy/${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const open = new AsyncDisposableStack();
  let folder: string;
  let postgres: RunningPostgres;
  let service: ServiceProcess;
  /** /metrics of a service that has just started. */
  let metrics: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'operations-pack-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    for (const name of ['state', 'log']) await mkdir(join(folder, name));
    await writeFile(join(folder, 'config.json'), '{}');
    postgres = open.use(await startPostgres());
  });
  afterAll(() => open.disposeAsync());

  it('units: the service waits for a database that starts later, and keeps everything in its own folders', async () => {
    const port = await freePort();
    await postgres.stop('fast');
    const starting = startProcess('serve', {
      ...(await environmentOf('stain-normalization', folder)),
      STAIN_DATABASE_URL: postgres.url,
      STAIN_MONITORING_PORT: String(port),
      STAIN_JOBS_CONCURRENCY: '0',
    });
    const ready = async (): Promise<{ status: number; text: string }> => {
      const answer = await fetch(`http://127.0.0.1:${port}/ready`);
      return { status: answer.status, text: await answer.text() };
    };
    await expect
      .poll(() => ready().catch(() => undefined), { timeout: 60_000 })
      .toMatchObject({
        status: 503,
        text: expect.stringContaining('DATABASE_UNAVAILABLE'),
      });
    await postgres.start();
    service = open.use(await starting);
    // What was found while the database was away is kept for some seconds.
    await expect.poll(ready, { timeout: 60_000 }).toMatchObject({ status: 200 });
    metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect((await readdir(join(folder, 'state'))).sort()).toEqual(['archive', 'spool']);
    expect(await readdir(join(folder, 'log'))).toEqual(['service.jsonl']);
  });

  it.each(UNITS)(
    '%s: names settings that there are, and leaves nothing to the working directory',
    async (unit) => {
      const { STAIN_CONFIG: _, ...env } = await environmentOf(unit, '/srv');
      const config = loadConfig({ env });
      expect(config.monitoring.port).toBe(
        { 'stain-normalization': 9464, 'stain-normalization-worker': 9465 }[unit],
      );
      const folders = [config.archive.folder, config.database.directory, config.spool.directory];
      folders.push(config.templates.directory, config.viewer.directory);
      for (const path of folders) expect(path).toMatch(/^\/srv\/state\//);
    },
  );

  it.skipIf(!existsSync('/usr/bin/systemd-analyze'))(
    'units: systemd has nothing to say against them',
    async () => {
      for (const unit of UNITS) {
        // Nothing is installed there.
        const text = (await read(`systemd/${unit}.service`)).replace(
          /^ExecStart=\S+/m,
          'ExecStart=/bin/true',
        );
        await writeFile(join(folder, `${unit}.service`), text);
      }
      const files = UNITS.map((unit) => join(folder, `${unit}.service`));
      // It ends with 0 also after a line that it does not know.
      expect(await run('/usr/bin/systemd-analyze', ['verify', ...files])).toEqual({ stdout: '', stderr: '' });
    },
  );

  it('rules: promtool accepts them, and each fires when it must', async () => {
    await run(PROMTOOL, ['check', 'rules', '--lint-fatal', join(deploy, 'prometheus/rules.yaml')]);
    await run(PROMTOOL, ['test', 'rules', join(deploy, 'prometheus/rules.test.yaml')]);
    const tests = await read('prometheus/rules.test.yaml');
    const names = (await alerts()).map(({ alert }) => alert);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) expect(tests).toMatch(new RegExp(`"${name}"|alertname: ${name}\\n`));
  });

  it('rules: the scrape configuration is one of Prometheus', async () => {
    const scrape = (await read('prometheus/scrape.yaml')).replace(
      '/etc/prometheus/stain-normalization-rules.yaml',
      join(deploy, 'prometheus/rules.yaml'),
    );
    await writeFile(join(folder, 'prometheus.yml'), scrape);
    await run(PROMTOOL, ['check', 'config', join(folder, 'prometheus.yml')]);
  });

  it('dashboard: its expressions are PromQL', async () => {
    const rules = (await dashboardExpressions()).map((expr, i) => ({ record: `panel:${i}`, expr }));
    expect(rules.length).toBeGreaterThan(20);
    await writeFile(join(folder, 'panels.json'), JSON.stringify({ groups: [{ name: 'panels', rules }] }));
    await run(PROMTOOL, ['check', 'rules', join(folder, 'panels.json')]);
  });

  it('rules and dashboard: every metric and label is one of a real service', async () => {
    const types = new Map(
      [...metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name!, type!]),
    );
    const base = (name: string): string =>
      types.has(name) ? name : name.replace(/_(bucket|count|sum)$/, '');
    const samples = [...metrics.matchAll(/^(\w+)\{(.*)\} /gm)];
    const labelsOf = (name: string): Set<string> =>
      new Set(
        samples
          .filter(([, sampled]) => sampled === name)
          .flatMap(([, , labels]) => [...labels!.matchAll(/(\w+)="/g)].map(([, label]) => label!)),
      );
    const ofScrape = ['job', 'instance', 'gpu'];
    const expressions = [...(await alerts()).map(({ expr }) => expr), ...(await dashboardExpressions())];
    const used = new Set<string>();
    for (const expr of expressions)
      for (const [, name, selector = ''] of expr.matchAll(
        /\b((?:stain|process|nodejs)_\w+)(?:\{([^}]*)\})?/g,
      )) {
        used.add(base(name!));
        const known = labelsOf(name!);
        // A gauge or histogram with labels that has nothing to tell yet.
        if (known.size === 0) continue;
        for (const [, label] of selector.matchAll(/(\w+)(?:=|!=)~?"/g))
          expect([...known, ...ofScrape], `${label} of ${name}`).toContain(label);
      }
    expect(used.size).toBeGreaterThan(15);
    for (const name of used) expect(types.has(name), name).toBe(true);
  });

  it('rules: whatever they ask the increase of begins at 0', async () => {
    for (const { expr } of await alerts())
      for (const [, name, selector] of expr.matchAll(/increase\((\w+)(\{[^}]*\})?\[/g)) {
        const values = [...metrics.matchAll(new RegExp(`^${name}(\\{.*\\})? (\\d+)$`, 'gm'))];
        const codes = [...(selector ?? '').matchAll(/code=~?"([^"]+)"/g)].flatMap(([, some]) =>
          some!.split('|'),
        );
        expect(values.length, name).toBeGreaterThan(0);
        for (const code of codes)
          expect(
            values.some(([line]) => line.includes(`code="${code}"`)),
            `${name} ${code}`,
          ).toBe(true);
      }
  });

  it('logrotate: the process goes on in a new file, and the chain with it', async () => {
    const { username } = userInfo();
    const log = join(folder, 'log');
    const configuration = (await read('logrotate/stain-normalization'))
      .replaceAll('stain stain', `${username} ${(await run('id', ['-gn'])).stdout.trim()}`)
      .replace('/var/log/stain-normalization', log)
      .replace(/systemctl reload .*/, `kill -HUP ${service.pid}`);
    const file = join(folder, 'logrotate');
    await writeFile(file, configuration, { mode: 0o600 });
    await run(LOGROTATE, ['--force', '--state', join(folder, 'logrotate.state'), file]);
    await service.stop();
    const files = (await readdir(log))
      .sort()
      .reverse()
      .map((name) => join(log, name));
    expect(files).toHaveLength(2);
    const [older, newer] = await Promise.all(files.map((path) => readFile(path, 'utf8')));
    expect(older).toContain('application-start');
    expect(newer).toContain('application-stop');
    expect(newer).not.toContain('application-start');
    expect(await verifyAuditTrail(files, { keys: [], anchors: [], isPartial: false })).toMatchObject({
      isWhole: true,
    });
  });
});
