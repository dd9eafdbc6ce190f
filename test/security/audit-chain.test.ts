/** Attacks on the audit trail by somebody who can write the file, and accidents that must not look like attacks. */
import { appendFile, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Anchor } from '../../server/src/audit/anchor.ts';
import { type AuditKey, readAuditKey, sha256 } from '../../server/src/audit/audit-key.ts';
import { readLine } from '../../server/src/audit/audit-line.ts';
import { openAuditTrail } from '../../server/src/audit/audit-trail.ts';
import { type VerifyOptions, verifyAuditTrail } from '../../server/src/audit/verify-trail.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createLogger } from '../../server/src/http/log.ts';
import { runs } from '../support/property-runs.ts';

const log = createLogger({ level: 'silent' });
let folder: string;
let file: string;
let keyFile: string;
let key: AuditKey;
let names = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-chain-'));
  keyFile = join(folder, 'key');
  await writeFile(keyFile, `${'k'.repeat(40)}\n`);
  key = await readAuditKey(keyFile);
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  file = join(folder, `audit-${names++}.jsonl`);
});

/** This many events by one process, and its last anchor. */
async function record(count: number, env: Record<string, string> = {}): Promise<Anchor> {
  const anchors: Anchor[] = [];
  {
    await using trail = await openAuditTrail(loadConfig({ env: { STAIN_AUDIT_FILE: file, ...env } }), {
      log,
      onLost: () => {},
    });
    await using _ = await trail.anchorIn({ add: async (anchor) => void anchors.push(anchor) });
    for (let i = 0; i < count; i++)
      trail.record({ event: 'series-read', outcome: 'success', principal: 'alice', template: `t${i}` });
  }
  return anchors.at(-1)!;
}
const sealed = () => ({ STAIN_AUDIT_KEY_FILE: keyFile });
const linesOf = async (): Promise<string[]> => (await readFile(file, 'utf8')).trimEnd().split('\n');
async function verdict(lines: readonly string[], options: VerifyOptions = {}) {
  const path = join(folder, 'tampered');
  await writeFile(path, lines.length === 0 ? '' : `${lines.join('\n')}\n`);
  return verifyAuditTrail([path], options);
}
/** The best attack without the key: the line changed, and all digests after it recomputed. */
function rechained(lines: readonly string[], from: number, change: (line: any) => void): string[] {
  const result = lines.slice(0, from);
  for (const text of lines.slice(from)) {
    const { digest: _, ...line } = JSON.parse(text);
    if (result.length === from) change(line);
    const before = readLine(result.at(-1) ?? '');
    if (before) line.previous = before.digest;
    const body = JSON.stringify(line);
    result.push(`${body.slice(0, -1)},"digest":"${sha256(body)}"}`);
  }
  return result;
}

describe('attack: a line is rewritten, and the chain after it recomputed', () => {
  it('the key identifies the line, without any anchor', async () => {
    await record(8, sealed());
    const lines = await linesOf();
    expect(await verdict(lines, { keys: [key] })).toMatchObject({ events: 8, findings: [], isWhole: true });
    await fc.assert(
      fc.asyncProperty(fc.nat(7), async (at) => {
        const kept = rechained(lines, at, (line) => {
          line.event.agent[0].who.identifier.value = 'bob';
        });
        const keepingId = await verdict(kept, { keys: [key] });
        expect(keepingId.isWhole).toBe(false);
        expect(keepingId.findings[0]).toMatchObject({ kind: 'rewritten', line: at + 1 });
        const without = rechained(
          lines.map((text) => text.replace(/"key":"\w+",/, '')),
          0,
          () => {},
        );
        expect((await verdict(without, { keys: [key] })).isWhole).toBe(false);
      }),
      { numRuns: runs(20) },
    );
  });

  it('without a key the anchors reveal it', async () => {
    const anchor = await record(8);
    const forged = rechained(await linesOf(), 3, (line) => {
      line.event.outcome = '4';
    });
    expect((await verdict(forged)).isWhole).toBe(true);
    expect(await verdict(forged, { anchors: [anchor] })).toMatchObject({
      isWhole: false,
      findings: [{ kind: 'rewritten', line: 8 }],
    });
  });

  it.each([
    ['with', () => sealed()],
    ['without', () => ({})],
  ])('a change without new digests is found at its line, %s a key', async (_how, env) => {
    await record(6, env());
    const lines = await linesOf();
    for (let at = 0; at < 6; at++) {
      const changed = lines.with(at, lines[at]!.replace('alice', 'bob'));
      const { findings } = await verdict(changed, 'STAIN_AUDIT_KEY_FILE' in env() ? { keys: [key] } : {});
      expect(findings).toMatchObject([{ kind: 'rewritten', line: at + 1 }]);
    }
  });

  it('seals are not believed without their key', async () => {
    await record(2, sealed());
    expect(await verdict(await linesOf())).toMatchObject({
      isWhole: false,
      findings: [{ kind: 'unknown key' }, { kind: 'unknown key' }],
    });
  });

  it('a key may be introduced later: sealed lines vouch for the lines before them', async () => {
    await record(3);
    await record(3, sealed());
    const lines = await linesOf();
    expect(await verdict(lines, { keys: [key] })).toMatchObject({
      isWhole: true,
      trails: [{ first: 1, last: 6 }],
    });
    const forged = rechained(lines.slice(0, 3), 1, (line) => {
      line.event.outcome = '4';
    });
    expect(await verdict([...forged, ...lines.slice(3)], { keys: [key] })).toMatchObject({
      isWhole: false,
      findings: [{ kind: 'rewritten', line: 3 }],
    });
    // Back to no key: whoever could write this could write anything.
    await record(2);
    expect((await verdict(await linesOf(), { keys: [key] })).findings[0]).toMatchObject({
      kind: 'unsealed',
      line: 7,
    });
  });
});

describe('attack: lines are removed', () => {
  it.each<[string, (lines: string[]) => string[], object]>([
    ['from the start', (lines) => lines.slice(3), { kind: 'beginning', line: 1, lost: 3 }],
    ['from the end', (lines) => lines.slice(0, -3), { kind: 'tail', line: 5, lost: 3 }],
    ['from the middle', (lines) => lines.toSpliced(3, 2), { kind: 'gap', line: 4, lost: 2 }],
    ['all', () => [], { kind: 'missing', line: null, lost: 8 }],
  ])('%s', async (_what, cut, finding) => {
    const anchor = await record(8, sealed());
    const lines = await linesOf();
    const found = await verdict(cut(lines), { keys: [key], anchors: [anchor] });
    expect(found.isWhole).toBe(false);
    expect(found.findings).toMatchObject([finding]);
  });

  it('one that is duplicated or moved is found', async () => {
    await record(5);
    const lines = await linesOf();
    expect((await verdict(lines.toSpliced(2, 0, lines[1]!))).findings).toMatchObject([
      { kind: 'repeated', line: 3 },
    ]);
    const moved = await verdict([lines[0]!, lines[2]!, lines[1]!, lines[3]!, lines[4]!]);
    expect(moved.isWhole).toBe(false);
  });

  it('a missing start is accepted if the file is said to be rotated, and nothing else is', async () => {
    const anchor = await record(8);
    const lines = await linesOf();
    const options = { anchors: [anchor, { ...anchor, trail: crypto.randomUUID() }], isPartial: true };
    expect((await verdict(lines.slice(3), options)).isWhole).toBe(true);
    expect((await verdict(lines.slice(3, -1), options)).isWhole).toBe(false);
  });

  it('a file without any line of a trail is refused, an empty one is not', async () => {
    await expect(verdict(['no', 'trail'], { isPartial: true })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining(join(folder, 'tampered')),
    });
    expect((await verdict([], { isPartial: true })).isWhole).toBe(true);
  });

  it('much rubbish does not hide what follows', async () => {
    await record(4);
    const lines = await linesOf();
    const rubbish = Array.from({ length: 500 }, () => 'x');
    const found = await verdict([lines[0]!, ...rubbish, lines[1]!, lines[3]!]);
    expect(found.isWhole).toBe(false);
    expect(found.findings.at(-1)).toMatchObject({ kind: 'gap', line: 503 });
    expect(found.findings.length).toBeLessThan(200);
  });
});

describe('attack: lines are forged in the format of version 0.1.0, which needs no key', () => {
  it('between the lines of a trail, after them and before them they are found', async () => {
    await record(4, sealed());
    const lines = await linesOf();
    const madeUp = (previous: string) => JSON.stringify({ previous, event: { who: 'bob' } });
    for (let at = 0; at <= lines.length; at++) {
      const previous = readLine(lines[at - 1] ?? '')?.digest ?? '0'.repeat(64);
      const tampered = lines.toSpliced(at, 0, madeUp(previous));
      expect((await verdict(tampered, { keys: [key] })).isWhole, String(at)).toBe(false);
      expect((await verdict(tampered, { keys: [key], isPartial: true })).isWhole, String(at)).toBe(false);
    }
  });
});

it('a file without a line of a trail is not called complete', async () => {
  await writeFile(file, '# Read me\n\nThis is no trail.\n');
  await expect(verifyAuditTrail([file])).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: `${file} is not an audit trail.`,
  });
  // All that a crash has left of the first event.
  await writeFile(file, '{"resourceType":"Aud');
  expect(await verifyAuditTrail([file])).toMatchObject({ isWhole: true, events: 0 });
});

describe('no attack: a crash, a rotation, an older version', () => {
  it('a torn line is reported, and the trail continues after it', async () => {
    const tears = [1, 20, 300];
    let recorded = 0;
    for (const bytes of tears) {
      await record(2, sealed());
      recorded += 2;
      const text = await readFile(file);
      await truncate(file, text.length - bytes);
      // Only the line break is missing from the last line.
      if (bytes > 1) recorded--;
    }
    await record(1, sealed());
    const found = await verifyAuditTrail([file], { keys: [key] });
    expect(found).toMatchObject({
      events: recorded + 1,
      isWhole: true,
      trails: [{ first: 1, last: recorded + 1 }],
    });
    expect(found.findings.map(({ kind }) => kind)).toEqual(['torn', 'torn']);
  });

  it('a partial line of another process at the end of the file does no harm', async () => {
    await record(2);
    await appendFile(file, `no json\n${'x'.repeat(5000)}`);
    await record(1);
    expect(await verifyAuditTrail([file])).toMatchObject({ events: 3, isWhole: true, trails: [{ last: 3 }] });
  });

  it('a file of version 0.1.0 is continued, and still verified', async () => {
    const old: string[] = [];
    for (let i = 0; i < 4; i++)
      old.push(JSON.stringify({ previous: i === 0 ? '0'.repeat(64) : sha256(old[i - 1]!), event: { i } }));
    await writeFile(file, `${old.join('\n')}\n`);
    await record(2, sealed());
    const lines = await linesOf();
    expect(await verdict(lines, { keys: [key] })).toMatchObject({ events: 6, findings: [], isWhole: true });
    expect(
      (await verdict(lines.with(1, JSON.stringify({ previous: sha256(old[0]!), event: 'x' })))).isWhole,
    ).toBe(false);
    expect((await verdict(lines.toSpliced(3, 1), { keys: [key] })).isWhole).toBe(false);
    expect((await verdict(old)).isWhole).toBe(true);
  });

  it('the trails of several processes are distinguished', async () => {
    await record(3);
    const first = await linesOf();
    file = join(folder, `audit-${names++}.jsonl`);
    await record(4);
    const second = await linesOf();
    const mixed = [first[0]!, second[0]!, second[1]!, first[1]!, first[2]!, second[2]!, second[3]!];
    expect(await verdict(mixed)).toMatchObject({ isWhole: true, trails: [{ last: 3 }, { last: 4 }] });
  });

  it('only the end of a large file is read at the start', async () => {
    await record(1);
    const [line] = await linesOf();
    // More than can be read during this test; it is sparse on disk.
    await truncate(file, 0);
    await truncate(file, 1e12);
    await appendFile(file, `\n${line}\n`);
    await record(1);
    await using opened = await open(file);
    const { size } = await opened.stat();
    const { buffer, bytesRead } = await opened.read(Buffer.alloc(4000), 0, 4000, size - 4000);
    const last = buffer.toString('utf8', 0, bytesRead).trimEnd().split('\n').slice(-2);
    expect(last.map(readLine)).toMatchObject([{ sequence: 1 }, { sequence: 2 }]);
  });

  it('a key that is too short is refused', async () => {
    await writeFile(join(folder, 'short'), 'password\n');
    await expect(readAuditKey(join(folder, 'short'))).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      data: { key: 'audit.keyFile' },
    });
  });
});
