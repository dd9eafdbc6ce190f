/** The audit trail: the contents of the file, that nothing in it can be changed unnoticed, and syslog over real TLS. */
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseAnchors } from '../../server/src/audit/anchor.ts';
import { AUDITED, type AuditEntry } from '../../server/src/audit/audit-event.ts';
import { type AuditTrail, openAuditTrail } from '../../server/src/audit/audit-trail.ts';
import { verifyAuditTrail } from '../../server/src/audit/verify-trail.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createLogger } from '../../server/src/http/log.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { runs } from '../support/property-runs.ts';

const log = createLogger({ level: 'silent' });
let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-audit-'));
  file = join(folder, 'audit.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

const open = (
  env: Record<string, string> = {},
  onLost: (way: string) => void = () => {},
): Promise<AuditTrail> =>
  openAuditTrail(loadConfig({ env: { STAIN_AUDIT_FILE: file, ...env } }), { log, onLost });
const asked: AuditEntry = {
  event: 'normalization-requested',
  outcome: 'success',
  principal: 'https://issuer.example#alice',
  address: '192.0.2.7',
  studyInstanceUid: '1.2.3',
  seriesInstanceUid: '1.2.3.4',
  jobId: '0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f10',
};
const linesOf = async (path: string): Promise<any[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
/** A trail with this many events in the file. */
async function record(count: number): Promise<void> {
  await using trail = await open();
  for (let i = 0; i < count; i++) trail.record({ ...asked, template: `t${i}` });
}

describe('the file', () => {
  it('records who requested what, as AuditEvents', async () => {
    await record(1);
    const [{ event }] = await linesOf(file);
    expect(event).toMatchObject({
      resourceType: 'AuditEvent',
      type: { system: 'http://dicom.nema.org/resources/ontology/DCM', code: '110100' },
      subtype: [{ code: 'normalization-requested' }],
      action: 'C',
      outcome: '0',
      recorded: expect.stringMatching(/^20.*Z$/),
      agent: [
        {
          who: { identifier: { value: 'https://issuer.example#alice' } },
          requestor: true,
          network: { address: '192.0.2.7' },
        },
      ],
      source: { observer: { display: expect.stringContaining('stain-normalization') } },
    });
    const values = event.entity.map((entity: any) => entity.what.identifier.value);
    expect(values).toEqual(['urn:oid:1.2.3', 'urn:oid:1.2.3.4', `urn:uuid:${asked.jobId}`, 't0']);
  });

  it('has the elements that FHIR requires of every kind of event', async () => {
    {
      await using trail = await open();
      for (const event of Object.keys(AUDITED) as (keyof typeof AUDITED)[])
        trail.record({ event, outcome: 'failure', code: 'X' });
    }
    const lines = await linesOf(file);
    expect(lines).toHaveLength(Object.keys(AUDITED).length);
    for (const { event } of lines) {
      expect(event.type.code).toMatch(/^1101\d\d$/);
      expect(event).toMatchObject({ outcome: '4', outcomeDesc: 'X', agent: [{ requestor: false }] });
    }
  });

  it('is readable only by us, appended to, and complete after a restart', async () => {
    await record(3);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await record(2);
    expect(await verifyAuditTrail([file])).toMatchObject({
      events: 5,
      trails: [{ first: 1, last: 5 }],
      findings: [],
      isWhole: true,
    });
  });

  it('reveals every line that was changed, removed, inserted or moved', async () => {
    await record(6);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    const tampered = join(folder, 'tampered');
    const isWhole = async (changed: readonly string[]): Promise<boolean> => {
      await writeFile(tampered, `${changed.join('\n')}\n`);
      return (await verifyAuditTrail([tampered])).isWhole;
    };
    expect(await isWhole(lines)).toBe(true);
    await fc.assert(
      // No line follows the last one that could reveal it; the anchors do.
      fc.asyncProperty(fc.nat(4), fc.nat(4), async (at, other) => {
        const line = lines[at]!;
        const without = lines.toSpliced(at, 1);
        expect(await isWhole(lines.with(at, line.replace('alice', 'bob')))).toBe(false);
        expect(await isWhole(without)).toBe(false);
        expect(await isWhole(lines.toSpliced(at + 1, 0, line))).toBe(false);
        if (other !== at) expect(await isWhole(lines.with(at, lines[other]!).with(other, line))).toBe(false);
      }),
      { numRuns: runs(40) },
    );
  });

  it('continues in a new file after a rotation', async () => {
    await using trail = await open();
    trail.record(asked);
    await trail.rotate();
    await rename(file, `${file}.1`);
    await trail.rotate();
    trail.record(asked);
    await trail.rotate();
    expect(await linesOf(`${file}.1`)).toHaveLength(1);
    expect(await linesOf(file)).toHaveLength(1);
    expect(await verifyAuditTrail([`${file}.1`, file])).toMatchObject({
      events: 2,
      findings: [],
      isWhole: true,
    });
    expect((await verifyAuditTrail([file, `${file}.1`])).isWhole).toBe(false);
    await appendFile(`${file}.1`, '{"previous":"x","event":{}}\n');
    expect((await verifyAuditTrail([`${file}.1`, file])).isWhole).toBe(false);
  });

  it('is verified when logrotate has compressed it, and not if the compressed file is damaged', async () => {
    await record(3);
    const compressed = `${file}-20261127.gz`;
    await writeFile(compressed, gzipSync(await readFile(file)));
    expect(await verifyAuditTrail([compressed])).toEqual(await verifyAuditTrail([file]));

    await truncate(compressed, 60);
    await expect(verifyAuditTrail([compressed], { isPartial: true })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining(compressed),
    });
  });

  it('prevents the service from starting if it cannot be written', async () => {
    await expect(open({ STAIN_AUDIT_FILE: join(folder, 'none/audit') })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      data: { key: 'audit.file' },
    });
  });

  it.skipIf(process.platform !== 'linux')('reports when writing fails later, and is not ready', async () => {
    const lost: string[] = [];
    {
      await using trail = await open({ STAIN_AUDIT_FILE: '/dev/full' }, (way) => lost.push(way));
      await trail.check();
      trail.record(asked);
      await vi.waitFor(
        () => expect(trail.check()).rejects.toMatchObject({ code: 'AUDIT_FAILED', status: 503 }),
        { timeout: 30_000 },
      );
      expect(lost).toEqual([]);
    }
    // Events that are still waiting are lost with the process.
    expect(lost).toEqual(['file']);
  });
});

describe('syslog over TLS', () => {
  let certificate: Certificate;
  let server: Server;
  let received: string;
  let port = 0;

  beforeEach(async () => {
    certificate = await makeCertificate();
    received = '';
    await listen();
  });
  afterEach(async () => {
    server.close();
    await certificate[Symbol.asyncDispose]();
  });
  const listen = async () => {
    const [cert, key] = await Promise.all([readFile(certificate.certFile), readFile(certificate.keyFile)]);
    server = createServer({ cert, key }, (socket) => {
      socket.on('data', (chunk) => (received += chunk)).on('error', () => {});
    }).listen(port, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  };
  const toSyslog = (env: Record<string, string> = {}, onLost?: (way: string) => void) =>
    open(
      {
        STAIN_AUDIT_FILE: '',
        STAIN_AUDIT_SYSLOG_HOST: 'localhost',
        STAIN_AUDIT_SYSLOG_PORT: String(port),
        STAIN_AUDIT_SYSLOG_CA_FILE: certificate.certFile,
        ...env,
      },
      onLost,
    );
  /** Octet counting (RFC 5425 section 4.3). */
  const messages = (): string[] => {
    const found: string[] = [];
    for (let rest = Buffer.from(received); rest.length > 0; ) {
      const blank = rest.indexOf(' ');
      const end = blank + 1 + Number(rest.subarray(0, blank).toString());
      found.push(rest.subarray(blank + 1, end).toString());
      rest = rest.subarray(end);
    }
    return found;
  };

  it('sends each event as an RFC 5424 message', async () => {
    await using trail = await toSyslog();
    for (let i = 0; i < 3; i++) trail.record({ ...asked, template: `ü${i}` });
    await expect.poll(messages, { timeout: 30_000 }).toHaveLength(3);
    const [, header, json] = /^(<85>1 \S+Z \S+ stain-normalization \d+ FHIR-AuditEvent - )\ufeff(.*)$/s.exec(
      messages()[2]!,
    )!;
    expect(header).toBeDefined();
    expect(JSON.parse(json!)).toMatchObject({ resourceType: 'AuditEvent', action: 'C' });
    expect(json).toContain('ü2');
  });

  it('keeps what it cannot send until the receiver is back', async () => {
    server.close();
    const attempts = vi.fn();
    const refusing = createTcpServer((socket) => {
      attempts();
      socket.destroy();
    }).listen(port, '127.0.0.1');
    await using trail = await toSyslog();
    trail.record(asked);
    trail.record(asked);
    await expect.poll(() => attempts.mock.calls.length, { timeout: 30_000 }).toBeGreaterThan(0);
    refusing.close();
    await once(refusing, 'close');
    await listen();
    await vi.waitFor(() => expect(messages()).toHaveLength(2), { timeout: 15_000 });
  });

  it('sends nothing to a receiver whose certificate it cannot verify', async () => {
    await using other = await makeCertificate();
    const attempts = vi.fn();
    server.on('connection', attempts);
    await using trail = await toSyslog({ STAIN_AUDIT_SYSLOG_CA_FILE: other.certFile });
    trail.record(asked);
    // It has given up the first connection when it tries again.
    await expect.poll(() => attempts.mock.calls.length, { timeout: 30_000 }).toBeGreaterThan(1);
    expect(received).toBe('');
  });

  it('has an anchor at the end of the file, so that truncation can be detected', async () => {
    {
      await using trail = await toSyslog({ STAIN_AUDIT_FILE: file });
      trail.record(asked);
      trail.record(asked);
    }
    await expect.poll(messages, { timeout: 30_000 }).toHaveLength(3);
    const anchors = parseAnchors(messages().join('\n'));
    expect(anchors).toEqual([
      {
        trail: expect.any(String),
        sequence: 2,
        digest: expect.any(String),
        observer: expect.any(String),
        recorded: expect.any(String),
      },
    ]);
    expect(await verifyAuditTrail([file], { anchors })).toMatchObject({ anchors: 1, isWhole: true });
    const [line] = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, `${line}\n`);
    expect((await verifyAuditTrail([file], { anchors })).findings).toMatchObject([{ kind: 'tail', lost: 1 }]);
  });

  it('counts unsent events at the end', async () => {
    server.close();
    const lost: string[] = [];
    {
      await using trail = await toSyslog({}, (way) => lost.push(way));
      trail.record(asked);
    }
    expect(lost).toEqual(['syslog']);
  });

  it('counts events that it cannot keep, and reports them when it can send again', async () => {
    server.close();
    const lost: string[] = [];
    await using trail = await toSyslog({}, (way) => lost.push(way));
    for (let i = 0; i < 10_003; i++) trail.record(asked);
    expect(lost).toEqual(['syslog', 'syslog', 'syslog']);
    await expect(trail.check()).rejects.toMatchObject({ code: 'AUDIT_FAILED' });
    await listen();
    await vi.waitFor(() => trail.check(), { timeout: 15_000 });
    await vi.waitFor(() => expect(received).toContain('audit-lost'), { timeout: 15_000 });
    expect(received).toContain('{"type":"count","valueString":"3"}');
  });
});
