/**
 * The database goes away, freezes, or never existed: what `serve` and `worker` do, as processes, on a real PostgreSQL.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Health } from '../../core/src/contract/index.ts';
import { freePort } from '../support/free-port.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { serveArchive } from '../support/serve-archive.ts';

/** Nothing here may take longer: the product's timeouts are well below. */
const HANGS_MS = 40_000;
const PASSWORD = 'pass-of-the-database';

describe.skipIf(postgresMissing !== undefined)(
  postgresMissing ? `the database (skipped: ${postgresMissing})` : 'the database',
  () => {
    const resources = new AsyncDisposableStack();
    let postgres: RunningPostgres;
    let folder: string;
    let archive: string;

    beforeAll(async () => {
      postgres = resources.use(await startPostgres());
      archive = resources.use(await serveArchive()).url;
      folder = await mkdtemp(join(tmpdir(), 'database-away-'));
      resources.defer(() => rm(folder, { recursive: true }));
    });
    afterAll(() => resources.disposeAsync());

    const url = (): string => postgres.url.replace('postgres@', `postgres:${PASSWORD}@`);

    /** A process and its output, however far it gets. */
    class Started {
      readonly child: ChildProcess;
      readonly monitoring: string;
      said = '';
      logged = '';

      constructor(command: 'serve' | 'worker', port: number, databaseUrl: string) {
        this.monitoring = `http://127.0.0.1:${port}`;
        this.child = spawn(process.execPath, [join(repository, 'server/src/main.ts'), command], {
          stdio: ['ignore', 'pipe', 'pipe'],
          env: {
            ...process.env,
            STAIN_SERVER_PORT: '0',
            STAIN_VIEWER_ENABLED: 'false',
            STAIN_DEVICE: 'cpu',
            STAIN_THREADS: '1',
            STAIN_DICOMWEB_URL: archive,
            STAIN_DATABASE_URL: databaseUrl,
            STAIN_MONITORING_PORT: String(port),
            STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
            STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
          },
        });
        this.child.stderr!.on('data', (chunk) => (this.said += chunk));
        this.child.stdout!.on('data', (chunk) => (this.logged += chunk));
      }

      static async of(command: 'serve' | 'worker', databaseUrl = url()): Promise<Started> {
        return new Started(command, await freePort(), databaseUrl);
      }

      /** The root of its API. */
      async service(): Promise<string> {
        await this.says(/service\s+http/);
        return /service\s+(http:\S+)/.exec(this.said)![1]!;
      }

      async says(what: RegExp): Promise<void> {
        await expect.poll(() => this.said, { timeout: HANGS_MS }).toMatch(what);
      }

      async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
        if (this.child.exitCode === null && this.child.signalCode === null) {
          const ended = once(this.child, 'exit');
          this.child.kill(signal);
          await ended;
        }
        return this.child.exitCode;
      }
    }

    /** A request must always be answered. */
    const ask = (address: string, init: RequestInit = {}): Promise<Response> =>
      fetch(address, { ...init, signal: AbortSignal.timeout(HANGS_MS) });
    const checksOf = async (address: string): Promise<Record<string, string | boolean>> => {
      const { checks } = (await (await ask(`${address}/ready`)).json()) as Health;
      return Object.fromEntries(checks.map(({ name, ok, code }) => [name, code ?? ok]));
    };
    const upOf = async (address: string): Promise<string | undefined> =>
      /^stain_database_up (\d)$/m.exec(await (await ask(`${address}/metrics`)).text())?.[1];

    describe('goes away while a service runs', () => {
      let process: Started;
      let service: string;
      beforeEach(async () => {
        process = await Started.of('serve');
        service = await process.service();
      });
      afterEach(async () => {
        await process.stop();
      });

      const expectAway = async (): Promise<void> => {
        const body = JSON.stringify({ query: {}, template: 'he-pink-violet' });
        const headers = { 'Content-Type': 'application/json' };
        const requests: [string, RequestInit][] = [
          ['/api/normalizations', {}],
          [`/api/normalizations/${crypto.randomUUID()}`, {}],
          [`/api/normalizations/${crypto.randomUUID()}/events`, {}],
          [`/api/normalizations/${crypto.randomUUID()}`, { method: 'DELETE' }],
          ['/api/batches', {}],
          [`/api/batches/${crypto.randomUUID()}/cancel`, { method: 'POST', body, headers }],
          ['/ups-rs/workitems', { headers: { Accept: 'application/dicom+json' } }],
          // Several statements at once, any of which may fail.
          ['/api/templates', {}],
          ['/api/templates/he-violet', {}],
          ['/api/templates/he-violet/thumbnail', {}],
        ];
        // More at once than there are connections.
        const answers = await Promise.all(
          [...requests, ...requests, ...requests].map(([path, init]) => ask(service + path, init)),
        );
        for (const answer of answers) {
          expect([answer.status, answer.headers.get('Retry-After')]).toEqual([503, '5']);
          expect(await answer.json()).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
        }
        expect(process.child.exitCode).toBeNull();
        expect((await ask(`${service}/health`)).status).toBe(200);
        const metrics = await (await ask(`${service}/metrics`)).text();
        expect(metrics).toContain('\nstain_database_up 0\n');
        expect(metrics).toContain('stain_http_request_seconds_count{');
        expect(metrics).toContain('process_resident_memory_bytes ');
        expect(metrics).not.toMatch(/^stain_(jobs|batch_lines)\{/m);
      };
      const expectBack = async (): Promise<void> => {
        await expect
          .poll(async () => (await ask(`${service}/api/normalizations`)).status, { timeout: HANGS_MS })
          .toBe(200);
        await expect.poll(() => upOf(service), { timeout: HANGS_MS }).toBe('1');
        await expect
          .poll(async () => (await checksOf(service))['database'], { timeout: HANGS_MS })
          .toBe(true);
      };

      it('attack: it stops; every request is answered 503, metrics and probes respond, and everything recovers', async () => {
        await postgres.stop('fast');
        try {
          await expectAway();
          expect((await checksOf(service))['database']).toBe('DATABASE_UNAVAILABLE');
          // Errors that pg-boss meets in the background are logged occasionally, without a password.
          await expect.poll(() => process.logged).toMatch(/the database is unavailable/);
          expect(process.logged).toMatch(/ECONNREFUSED|terminating connection/);
          const words = process.logged
            .split('\n')
            .filter((line) => line.includes('the database is unavailable'));
          expect(words).toHaveLength(1);
        } finally {
          await postgres.start();
        }
        await expectBack();
        expect(process.logged + process.said).not.toContain(PASSWORD);
      });

      it('attack: it freezes, accepts connections and answers nothing; no request hangs', async () => {
        await postgres.freeze();
        try {
          await expectAway();
          expect((await checksOf(service))['database']).toMatch(/DATABASE_UNAVAILABLE|TIMED_OUT/);
        } finally {
          await postgres.thaw();
        }
        await expectBack();
      });

      it('attack: it freezes while the service shuts down; the service ends', async () => {
        await postgres.freeze();
        try {
          expect(await process.stop('SIGTERM')).toBe(0);
        } finally {
          await postgres.thaw();
        }
      });
    });

    describe.each(['serve', 'worker'] as const)('is away when %s starts', (command) => {
      it('attack: it is waited for, while probes and metrics respond', async () => {
        await postgres.stop('fast');
        const process = await Started.of(command);
        try {
          await process.says(/database .*ECONNREFUSED.*Waiting for the database/);
          expect((await ask(`${process.monitoring}/health`)).status).toBe(200);
          expect(await upOf(process.monitoring)).toBe('0');
          expect((await checksOf(process.monitoring))['database']).toBe('DATABASE_UNAVAILABLE');
          expect(process.child.exitCode).toBeNull();
          await postgres.start();
          await process.says(command === 'serve' ? /service\s+http/ : /a worker on/);
          await expect.poll(() => upOf(process.monitoring)).toBe('1');
          expect(process.said.match(/Waiting for the database/g)).toHaveLength(1);
          expect(process.logged + process.said).not.toContain(PASSWORD);
        } finally {
          await process.stop();
        }
      });

      it('can be interrupted while it waits', async () => {
        await postgres.freeze();
        const process = await Started.of(command);
        try {
          await process.says(/Waiting for the database/);
          await process.stop('SIGTERM');
          expect(process.said).toContain('SHUTTING_DOWN');
        } finally {
          await process.stop();
          await postgres.thaw();
        }
      });
    });

    it.each([
      ['a database that does not exist', (right: string) => right.replace(/\/postgres$/, '/nothing')],
      ['a role that does not exist', (right: string) => right.replace('postgres:', 'nobody:')],
    ])('that refuses us permanently is not waited for: %s', async (_what, wrong) => {
      const process = await Started.of('serve', url().replace(/.*/, wrong));
      await once(process.child, 'exit');
      expect(process.child.exitCode).toBe(1);
      expect(process.said).toContain('CONFIGURATION_INVALID');
      expect(process.logged + process.said).not.toContain(PASSWORD);
    });
  },
);
