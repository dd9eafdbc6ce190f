/**
 * Attack: somebody with write access truncates the audit trail. A real service, a real PostgreSQL, the real command.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';

const title = 'the end of the audit trail';

describe.skipIf(postgresMissing)(postgresMissing ? `${title} (skipped: ${postgresMissing})` : title, () => {
  const open = new AsyncDisposableStack();
  let folder: string;
  let postgres: RunningPostgres;
  let service: ServiceProcess;
  let environment: Record<string, string>;
  const path = (name: string): string => join(folder, name);
  const linesOf = async (): Promise<string[]> =>
    (await readFile(path('audit.jsonl'), 'utf8')).trimEnd().split('\n');

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stain-anchors-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    postgres = open.use(await startPostgres());
    await writeFile(path('key'), 'k'.repeat(32));
    environment = {
      DATABASE_URL: postgres.url,
      STAIN_ARCHIVE_FOLDER: path('archive'),
      STAIN_SPOOL_DIRECTORY: path('spool'),
      STAIN_TEMPLATES_DIRECTORY: path('templates'),
      STAIN_AUDIT_FILE: path('audit.jsonl'),
      STAIN_AUDIT_KEY_FILE: path('key'),
    };
    service = open.use(await startProcess('serve', environment));
    await use();
    await service.stop();
  });
  afterAll(() => open.disposeAsync());

  /** Some events. */
  async function use(): Promise<void> {
    for (let i = 0; i < 5; i++)
      await fetch(`${service.url}/api/normalizations`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({
          studyInstanceUid: '1.2.3',
          seriesInstanceUid: `1.2.3.${i}`,
          template: 'he-magenta',
        }),
      });
  }
  function command(
    args: readonly string[],
    env: Record<string, string> = environment,
  ): Promise<{ code: number; json: any }> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [join(repository, 'server/src/main.ts'), '--json', 'audit', ...args],
        { env: { ...process.env, ...env } },
        (error, stdout) => resolve({ code: Number(error?.code ?? 0), json: JSON.parse(stdout) }),
      );
    });
  }

  it('is anchored when the service stops: nothing was written after it', async () => {
    const lines = await linesOf();
    expect(lines.length).toBeGreaterThanOrEqual(7);
    const last = await postgres.query('SELECT max(sequence) FROM stain_normalization.audit_anchor');
    expect(Number(last)).toBe(lines.length);
    expect(await command(['verify', path('audit.jsonl')])).toMatchObject({
      code: 0,
      json: { events: lines.length, findings: [], isWhole: true },
    });
  });

  it('is reported if it is missing, by the database and by anchors kept elsewhere', async () => {
    const { json: anchors } = await command(['anchors']);
    expect(anchors.length).toBeGreaterThan(0);
    await writeFile(path('anchors'), anchors.map((one: object) => JSON.stringify(one)).join('\n'));
    const lines = await linesOf();
    await writeFile(path('audit.jsonl'), `${lines.slice(0, -2).join('\n')}\n`);
    const told = {
      code: 1,
      json: { isWhole: false, findings: [{ kind: 'tail', line: lines.length - 2, lost: 2 }] },
    };
    expect(await command(['verify', path('audit.jsonl')])).toMatchObject(told);
    const alone = ['verify', '--key-file', path('key'), '--anchors', path('anchors'), path('audit.jsonl')];
    expect(await command(alone, {})).toMatchObject(told);
  });

  it('is reported if it is missing, even after the service has written more', async () => {
    const cutAt = (await linesOf()).length;
    await service.start();
    await use();
    await service.stop();
    expect((await linesOf()).length).toBeGreaterThan(cutAt + 2);
    expect(await command(['verify', path('audit.jsonl')])).toMatchObject({
      code: 1,
      json: { isWhole: false, findings: [{ kind: 'rewritten', line: cutAt + 2 }] },
    });
  });
});
