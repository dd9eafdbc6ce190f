/** Attacks that flood the audit trail or displace records, and disks and receivers that accept nothing. */
import { execFile } from 'node:child_process';
import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import { type AuditTrail, openAuditTrail } from '../../server/src/audit/audit-trail.ts';
import { verifyAuditTrail } from '../../server/src/audit/verify-trail.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createLogger } from '../../server/src/http/log.ts';

const run = promisify(execFile);
let folder: string;
let file: string;
let names = 0;
let lost: string[];
let logged: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-flood-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  file = join(folder, `audit-${names++}.jsonl`);
  lost = [];
  logged = [];
});

const openTrail = (env: Record<string, string> = {}): Promise<AuditTrail> =>
  openAuditTrail(loadConfig({ env: { STAIN_AUDIT_FILE: file, ...env } }), {
    log: createLogger({ level: 'info', destination: { write: (line) => void logged.push(line) } }),
    onLost: (way) => lost.push(way),
  });
const eventsOf = (text: string): any[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).event);
const refused = (changes: Partial<AuditEntry> = {}): AuditEntry => ({
  event: 'access-refused',
  outcome: 'failure',
  code: 'UNAUTHENTICATED',
  address: '192.0.2.7',
  method: 'GET',
  route: '/api/normalizations',
  ...changes,
});
const read = (): AuditEntry => ({ event: 'series-read', outcome: 'success', principal: 'alice' });
const countOf = (event: any): number =>
  Number(
    event.entity.flatMap(({ detail = [] }) => detail).find(({ type }: any) => type === 'count')
      ?.valueString ?? 1,
  );

describe('attack: a flood of refusals', () => {
  it('from one address: the first is recorded at once, the rest as one record with their number', async () => {
    {
      await using trail = await openTrail();
      for (let i = 0; i < 100_000; i++) trail.record(refused({ requestId: crypto.randomUUID() }));
    }
    const events = eventsOf(await readFile(file, 'utf8'));
    expect(events.map(countOf)).toEqual([1, 99_999]);
    expect(events[1]).toMatchObject({
      outcomeDesc: 'UNAUTHENTICATED',
      period: { start: expect.stringMatching(/Z$/), end: expect.stringMatching(/Z$/) },
      agent: [{ who: { display: 'not authenticated' }, network: { address: '192.0.2.7' } }],
    });
    expect(events[1].entity[0]).toMatchObject({ name: 'GET /api/normalizations' });
  });

  it('from any number of addresses: the trail grows by a bounded amount, and every refusal is counted', async () => {
    {
      await using trail = await openTrail();
      for (let i = 0; i < 50_000; i++) trail.record(refused({ address: `2001:db8::${i.toString(16)}` }));
      // It hides neither refusals of users nor other events.
      trail.record(refused({ principal: 'alice', code: 'FORBIDDEN' }));
      trail.record(read());
    }
    const events = eventsOf(await readFile(file, 'utf8'));
    expect((await stat(file)).size).toBeLessThan(200_000);
    const unknown = events.filter(({ outcomeDesc }) => outcomeDesc !== 'FORBIDDEN' && outcomeDesc);
    expect(unknown.reduce((sum, event) => sum + countOf(event), 0)).toBe(50_000);
    expect(events.filter(({ outcomeDesc }) => outcomeDesc === 'FORBIDDEN')).toMatchObject([
      { agent: [{ who: { identifier: { value: 'alice' } } }] },
    ]);
    expect(events.filter(({ subtype }) => subtype[0].code === 'series-read')).toHaveLength(1);
  });

  it('refusals with other codes, routes and users are recorded separately', async () => {
    {
      await using trail = await openTrail();
      for (const change of [
        {},
        { code: 'FORBIDDEN' },
        { route: '/api/batches' },
        { method: 'POST' },
        { address: '192.0.2.8' },
      ])
        for (let i = 0; i < 3; i++) trail.record(refused(change));
    }
    expect(eventsOf(await readFile(file, 'utf8')).map(countOf)).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
  });

  it('of a user who tries one study after another: the record names the studies, as far as they fit', async () => {
    {
      await using trail = await openTrail();
      for (let i = 0; i < 200; i++)
        trail.record(refused({ principal: 'alice', code: 'SERIES_NOT_FOUND', studyInstanceUid: `1.2.${i}` }));
    }
    const events = eventsOf(await readFile(file, 'utf8'));
    const studiesOf = (event: any): string[] =>
      event.entity
        .filter(({ type }: any) => type.code === 'study')
        .map(({ what }: any) => what.identifier.value);
    expect(events.map(countOf)).toEqual([1, 199]);
    expect(studiesOf(events[0])).toEqual(['urn:oid:1.2.0']);
    expect(studiesOf(events[1])).toHaveLength(50);
    expect(studiesOf(events[1])[0]).toBe('urn:oid:1.2.1');
  });

  it('is summed up after a minute, and the next refusal is recorded at once', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      await using trail = await openTrail();
      for (let i = 0; i < 5; i++) trail.record(refused());
      vi.advanceTimersByTime(60_000);
      trail.record(refused());
      await vi.waitFor(async () =>
        expect(eventsOf(await readFile(file, 'utf8')).map(countOf)).toEqual([1, 4, 1]),
      );
      vi.advanceTimersByTime(120_000);
    } finally {
      vi.useRealTimers();
    }
    expect(eventsOf(await readFile(file, 'utf8'))).toHaveLength(3);
  });
});

describe('attack: more events than a hanging disk can take', () => {
  it('a pipe without a reader is reported at the start, which would otherwise wait for ever', async () => {
    await run('mkfifo', [file]);
    await expect(openTrail()).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
  });

  it('surplus events are lost, counted, alarmed, and reported in the trail when it works again', async () => {
    await run('mkfifo', [file]);
    // Somebody holds the other end without reading, so the pipe is full.
    await using other = await open(file, 'r+');
    const maxWaiting = 10_000;
    let text = '';
    {
      await using trail = await openTrail();
      for (let i = 0; i < maxWaiting + 300; i++) trail.record(read());
      expect(lost.length).toBeGreaterThan(0);
      expect(lost.length).toBeLessThanOrEqual(300);
      const missing = lost.length;
      await expect(trail.check()).rejects.toMatchObject({ code: 'AUDIT_FAILED', status: 503 });
      expect(logged.filter((line) => line.includes('events of the audit trail are lost'))).toHaveLength(1);
      const all = (async () => {
        while (!text.includes('audit-lost')) {
          const { buffer, bytesRead } = await other.read(Buffer.alloc(1 << 16), 0, 1 << 16, null);
          text += buffer.toString('utf8', 0, bytesRead);
        }
      })();
      await all;
      await trail.check();
      const [told] = eventsOf(text.slice(0, text.lastIndexOf('\n'))).filter(
        ({ subtype }) => subtype[0].code === 'audit-lost',
      );
      expect(told).toMatchObject({
        outcome: '8',
        period: { start: expect.any(String), end: expect.any(String) },
      });
      expect(countOf(told)).toBe(missing);
      expect(lost).toHaveLength(missing);
    }
    // Only the surplus: what was written has no gap.
    const whole = join(folder, 'read-from-pipe');
    await writeFile(whole, text.slice(0, text.lastIndexOf('\n') + 1));
    expect(await verifyAuditTrail([whole])).toMatchObject({ findings: [], isWhole: true });
  });

  const missing = process.getuid?.() === 0 ? undefined : 'only root can mount a small disk';
  it.skipIf(missing !== undefined)(
    `a disk that fills up loses no event that fits into the queue${missing ? ` (skipped: ${missing})` : ''}`,
    async () => {
      const disk = await mkdtemp(join(tmpdir(), 'stain-audit-disk-'));
      await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
      try {
        file = join(disk, 'audit.jsonl');
        {
          await using trail = await openTrail();
          for (let i = 0; i < 300; i++) trail.record(read());
          await vi.waitFor(
            () => expect(trail.check()).rejects.toMatchObject({ code: 'AUDIT_FAILED' }),
            20_000,
          );
          await run('mount', ['-o', 'remount,size=4m', disk]);
          await vi.waitFor(() => trail.check(), 20_000);
        }
        expect(lost).toEqual([]);
        const found = await verifyAuditTrail([file]);
        expect(found).toMatchObject({ events: 300, isWhole: true, trails: [{ first: 1, last: 300 }] });
        expect(found.findings.every(({ kind }) => kind === 'torn')).toBe(true);
      } finally {
        await run('umount', [disk]);
        await rm(disk, { recursive: true });
      }
    },
  );
});
