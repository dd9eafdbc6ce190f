/** Attacks by anybody who reaches the port, before a login: floods, slow clients, idle connections. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { Agent, request } from 'undici';
import { afterEach, describe, expect, it, test } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { loadConfig } from '../../server/src/config.ts';
import type { AppOptions } from '../../server/src/http/app.ts';
import type { ListenOptions } from '../../server/src/http/listen.ts';
import { makeCertificate } from '../support/certificate.ts';
import { connectRaw, type RawConnection, sendRaw } from '../support/raw-connection.ts';
import { startProcess } from '../support/service-process.ts';
import { NO_BATCHES, NO_JOBS, startApp } from '../support/test-app.ts';

/** Another address of this host, which no other client uses. */
const ATTACKER = '127.0.0.2';
const HOST = 'Host: 127.0.0.1';

/** The certificate is the test's own. */
const anyCertificate = new Agent({ connect: { rejectUnauthorized: false } });

let open: AsyncDisposableStack;
afterEach(() => open?.disposeAsync());

interface Parts {
  readonly environment?: Record<string, string>;
  readonly app?: Partial<AppOptions>;
  readonly listening?: Partial<ListenOptions>;
}

/** A service with a login that accepts only the token `good`, and counts how often it verified one. */
async function start({ environment = {}, app = {}, listening }: Parts = {}) {
  open = new AsyncDisposableStack();
  const seen = { tokens: 0, created: 0 };
  const { url } = open.use(
    await startApp(
      NO_JOBS,
      {
        config: loadConfig({ env: environment }),
        batches: NO_BATCHES,
        login: {
          isRequired: true,
          async identify(authorization) {
            seen.tokens++;
            if (authorization === 'Bearer good')
              return { id: 'user', scopes: new Set(['read', 'normalize', 'administer'] as const) };
            throw new StainError('UNAUTHENTICATED', 'No.');
          },
        },
        ...app,
      },
      listening,
    ),
  );
  const connect = async (from?: string): Promise<RawConnection> => {
    const connection = await connectRaw(url, from);
    open.use(connection);
    return connection;
  };
  const list = async (token: string, from?: string, ...headers: string[]) =>
    (
      await sendRaw(
        url,
        [
          'GET /api/normalizations HTTP/1.1',
          HOST,
          `Authorization: Bearer ${token}`,
          ...headers,
          'Connection: close',
        ],
        from === undefined ? {} : { from },
      )
    ).status;
  return { url, seen, connect, list };
}

describe('a flood of bad tokens', () => {
  const environment = { STAIN_LIMITS_REQUESTS_PER_SECOND_PER_ADDRESS: '1' };

  it('is stopped by address before the tokens are verified, and affects nobody else', async () => {
    const { url, seen, list } = await start({ environment });
    const statuses: number[] = [];
    for (let i = 0; i < 30; i++) statuses.push(await list(`bad${i}`, ATTACKER));
    // One a second, over ten seconds.
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
    expect(seen.tokens).toBe(10);
    const { text } = await sendRaw(url, ['GET /docs/ HTTP/1.1', HOST, 'Connection: close'], {
      from: ATTACKER,
    });
    expect(text).toMatch(/^HTTP\/1.1 429 [\s\S]*\r\nRetry-After: \d+\r\n[\s\S]*RATE_LIMITED/);
    expect(await list('good')).toBe(200);
  });

  it('through a trusted proxy is stopped by the address of the client', async () => {
    const { list } = await start({
      environment: { ...environment, STAIN_SERVER_TRUSTED_PROXIES: '127.0.0.0/8' },
    });
    const statuses = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        // Of one network: whoever has one IPv6 address has all of these.
        list('bad', ATTACKER, `X-Forwarded-For: 2001:db8:0:1::${i + 1}`),
      ),
    );
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
    expect(await list('good', ATTACKER, 'X-Forwarded-For: 2001:db8:0:2::1')).toBe(200);
  });

  it('cannot hide its address in headers if no proxy is trusted', async () => {
    const { list } = await start({ environment });
    const statuses = await Promise.all(
      Array.from({ length: 30 }, (_, i) => list('bad', ATTACKER, `X-Forwarded-For: 192.0.2.${i + 1}`)),
    );
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
  });
});

describe('a body from a client without a token', () => {
  it.each([
    ['too large', `{"a":"${'x'.repeat(100_000)}"}`],
    ['too deep', `${'['.repeat(5000)}${']'.repeat(5000)}`],
    ['that is not JSON', '{'],
  ])('%s is not read', async (_name, body) => {
    const { url } = await start();
    const lines = (token: string) => [
      'POST /api/normalizations HTTP/1.1',
      HOST,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      `Authorization: Bearer ${token}`,
      'Connection: close',
    ];
    expect((await sendRaw(url, lines('bad'), { body })).status).toBe(401);
    expect([400, 413]).toContain((await sendRaw(url, lines('good'), { body })).status);
  });

  it('without an end is cut off soon after it is refused', async () => {
    const { connect } = await start();
    const attacker = await connect(ATTACKER);
    attacker.socket.write(
      `POST /api/normalizations HTTP/1.1\r\n${HOST}\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n`,
    );
    const more = setInterval(() => attacker.socket.write('x'), 10);
    expect(await attacker.closed()).toMatch(/^HTTP\/1.1 401 /);
    clearInterval(more);
  });
});

describe('a slow client', () => {
  const times = { headersMs: 1000, bodyMs: 600, idleMs: 600 };

  /** Sends a byte at intervals until the connection is closed. */
  async function trickle(connection: RawConnection, byte: string): Promise<string> {
    const timer = setInterval(() => connection.socket.write(byte), 20);
    try {
      return await connection.closed();
    } finally {
      clearInterval(timer);
    }
  }

  it('that trickles headers is cut off', async () => {
    const { connect, list } = await start({ listening: { times } });
    const attacker = await connect(ATTACKER);
    attacker.socket.write(`GET / HTTP/1.1\r\n${HOST}\r\nX-Slow: `);
    expect(await trickle(attacker, 'x')).toMatch(/^(HTTP\/1.1 408 |$)/);
    expect(await list('good')).toBe(200);
  });

  it('that sends nothing at all is cut off, over TLS too', async () => {
    await using certificate = await makeCertificate();
    const { certFile, keyFile } = certificate;
    for (const tls of [{}, { certFile, keyFile }]) {
      const { connect } = await start({ listening: { times, tls } });
      await (await connect(ATTACKER)).closed();
      await open.disposeAsync();
    }
  });

  it('that sends one request and then keeps its connection open is cut off', async () => {
    const { connect } = await start({ listening: { times } });
    const attacker = await connect(ATTACKER);
    attacker.socket.write(`GET /health HTTP/1.1\r\n${HOST}\r\n\r\n`);
    expect(await attacker.closed()).toMatch(/^HTTP\/1.1 200 /);
  });

  it('that trickles a body is answered with 408', async () => {
    const { connect } = await start({ listening: { times } });
    const attacker = await connect(ATTACKER);
    attacker.socket.write(
      `POST /api/normalizations HTTP/1.1\r\n${HOST}\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"`,
    );
    expect(await trickle(attacker, 'x')).toMatch(/^HTTP\/1.1 408 /);
  });

  it('that trickles a body of unknown length is answered with 408', async () => {
    const { connect } = await start({ listening: { times } });
    const attacker = await connect(ATTACKER);
    attacker.socket.write(
      `POST /api/normalizations HTTP/1.1\r\n${HOST}\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    expect(await trickle(attacker, '1\r\n"\r\n')).toMatch(/^HTTP\/1.1 408 /);
  });

  it('that does not read its response is cut off', async () => {
    const closed = Promise.withResolvers<void>();
    const archiveRouter = express.Router().use((_request, response) => {
      response.on('close', closed.resolve);
      const more = (): void => {
        while (response.write(Buffer.alloc(64 * 1024)));
        response.once('drain', more);
      };
      more();
    });
    const { connect } = await start({ app: { archiveRouter }, listening: { times } });
    const attacker = await connect(ATTACKER);
    attacker.socket.pause();
    attacker.socket.write(`GET /dicom-web/studies HTTP/1.1\r\n${HOST}\r\nAuthorization: Bearer good\r\n\r\n`);
    await closed.promise;
  });

  describe('that stores a slide', () => {
    const times = { headersMs: 1000, bodyMs: 500, idleMs: 3000 };
    /** An archive that reads everything, and reports how many bytes it got. */
    const archiveRouter = express.Router().post('/studies', async (request, response) => {
      let bytes = 0;
      for await (const chunk of request) bytes += (chunk as Buffer).length;
      response.json({ bytes });
    });
    const head = (token: string, length: number) =>
      `POST /dicom-web/studies HTTP/1.1\r\n${HOST}\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${length}\r\n\r\n`;

    it('has all the time that it needs, as long as data keep arriving', async () => {
      const { connect } = await start({ app: { archiveRouter }, listening: { times } });
      const user = await connect();
      // Longer than other bodies may take, with pauses shorter than the idle timeout.
      const length = 100;
      user.socket.write(head('good', length));
      let sent = 0;
      const timer = setInterval(() => {
        user.socket.write('x');
        if (++sent === length) clearInterval(timer);
      }, 20);
      expect(await user.until(/bytes/)).toContain(`{"bytes":${length}}`);
    });

    it('and falls silent is cut off', async () => {
      const { connect } = await start({ app: { archiveRouter }, listening: { times } });
      const attacker = await connect(ATTACKER);
      attacker.socket.write(`${head('good', 100)}x`);
      await attacker.closed();
    });

    it('without a token is refused at once, and gets no extra time', async () => {
      const { connect } = await start({ app: { archiveRouter }, listening: { times } });
      const attacker = await connect(ATTACKER);
      attacker.socket.write(head('bad', 1_000_000));
      expect(await trickle(attacker, 'x')).toMatch(/^HTTP\/1.1 401 /);
    });

    it('is not cut off while the archive is slow', async () => {
      const finish = Promise.withResolvers<void>();
      const asked = Promise.withResolvers<void>();
      const slow = express.Router().post('/studies', async (request, response) => {
        request.resume();
        await once(request, 'end');
        asked.resolve();
        await finish.promise;
        response.send('stored at last');
      });
      const { connect } = await start({ app: { archiveRouter: slow }, listening: { times } });
      const user = await connect();
      user.socket.write(`${head('good', 1)}x`);
      await asked.promise;
      // Another one falls silent after that and is cut off, so more than the idle timeout has passed.
      const other = await connect();
      other.socket.write(head('good', 1));
      await other.closed();
      finish.resolve();
      expect(await user.until(/stored/)).toMatch(/^HTTP\/1.1 200 /);
    });
  });
});

describe('idle connections', () => {
  const opened = async (connect: (from?: string) => Promise<RawConnection>, count: number, from: string) => {
    const connections: RawConnection[] = [];
    for (let i = 0; i < count; i += 100)
      connections.push(...(await Promise.all(Array.from({ length: 100 }, () => connect(from)))));
    return connections;
  };
  const left = (connections: readonly RawConnection[]) =>
    connections.filter(({ isClosed }) => !isClosed).length;

  test('2,000 from one address: as many stay as one address may have, and others are served', async () => {
    const { connect, list } = await start({
      environment: {},
      listening: { maxConnections: 5000, connectionsPerAddress: 100 },
    });
    const connections = await opened(connect, 2000, ATTACKER);
    expect(await list('good')).toBe(200);
    await Promise.all(connections.slice(0, 1900).map((connection) => connection.closed()));
    expect(left(connections)).toBe(100);
    // Including clients of the same address: the connection that has been idle longest is closed.
    expect(await list('good', ATTACKER)).toBe(200);
  });

  test('2,000 from many addresses: as many stay as are allowed in total, and others are served', async () => {
    const { connect, list } = await start({
      listening: { maxConnections: 200, connectionsPerAddress: 100 },
    });
    const connections: RawConnection[] = [];
    for (let i = 2; i < 22; i++) connections.push(...(await opened(connect, 100, `127.0.0.${i}`)));
    expect(await list('good')).toBe(200);
    await Promise.all(connections.slice(0, 1800).map((connection) => connection.closed()));
    expect(left(connections)).toBeLessThanOrEqual(200);
  });

  it('are closed in favour of new ones, but never one with a request in progress', async () => {
    const finish = Promise.withResolvers<void>();
    const archiveRouter = express.Router().use(async (_request, response) => {
      response.write('first');
      await finish.promise;
      response.end(', last');
    });
    await using certificate = await makeCertificate();
    const { certFile, keyFile } = certificate;
    for (const tls of [{}, { certFile, keyFile }]) {
      const { url, connect } = await start({
        app: { archiveRouter },
        listening: { maxConnections: 5, tls },
      });
      const answer = await request(`${url}/dicom-web/studies`, {
        headers: { Authorization: 'Bearer good' },
        dispatcher: anyCertificate,
      });
      const connections = await opened(connect, 100, ATTACKER);
      await Promise.all(connections.slice(0, 90).map((connection) => connection.closed()));
      finish.resolve();
      expect(await answer.body.text()).toBe('first, last');
      await open.disposeAsync();
    }
  });

  it('are bounded by the settings of a service as started', async () => {
    open = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), 'edge-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    const { url } = open.use(
      await startProcess('serve', {
        STAIN_ARCHIVE_FOLDER: join(folder, 'archive'),
        STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
        STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
        STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
        STAIN_SERVER_CONNECTIONS_PER_ADDRESS: '20',
      }),
    );
    const connections = await opened(async (from) => open.use(await connectRaw(url, from)), 200, ATTACKER);
    await Promise.all(connections.slice(0, 180).map((connection) => connection.closed()));
    expect((await sendRaw(url, ['GET /health HTTP/1.1', HOST, 'Connection: close'])).status).toBe(200);
    // The others get nothing, and are closed.
    for (const connection of connections.slice(180)) expect(await connection.closed()).toMatch(/ 408 |^$/);
  });

  it('through a trusted proxy are not counted as those of one client', async () => {
    const { connect, list } = await start({
      environment: { STAIN_SERVER_TRUSTED_PROXIES: '127.0.0.2' },
      listening: { maxConnections: 1000, connectionsPerAddress: 5 },
    });
    const connections = await opened(connect, 100, ATTACKER);
    expect(await list('good')).toBe(200);
    expect(left(connections)).toBe(100);
  });
});

describe('a request', () => {
  it.each<[string, string, number]>([
    ['with headers of more than 16 KiB', `X-Long: ${'x'.repeat(17_000)}`, 431],
    ['with more than 100 fields', Array(101).fill('a: b').join('\r\n'), 431],
    ['that hides its body behind 1,500 fields', `${'a:\r\n'.repeat(1500)}Transfer-Encoding: chunked`, 431],
    ['with two lengths', 'Content-Length: 1\r\nContent-Length: 2', 400],
    ['with a length and a coding', 'Content-Length: 1\r\nTransfer-Encoding: chunked', 400],
  ])('%s is refused', async (_name, header, status) => {
    const { url } = await start();
    expect((await sendRaw(url, ['POST /api/normalizations HTTP/1.1', HOST, header])).status).toBe(status);
  });
});

it('about the whole server (OPTIONS *) is answered', async () => {
  const { url } = await start();
  const { status } = await sendRaw(url, ['OPTIONS * HTTP/1.1', HOST, 'Connection: close']);
  expect(status).toBe(404);
});
