/** Storing instances, and verifying that the archive has them. */
import { describe, expect, it } from 'vitest';
import type { StorableInstance } from '../../server/src/dicomweb/client.ts';
import { bodyOf } from '../support/fault-server.ts';
import { withServer } from '../support/with-server.ts';
import { FILE, failed, instance, posts, referenced, shown, signal, storing } from './client-support.ts';

describe('storeInstance', () => {
  it('sends one instance with its exact length', async () => {
    let seen: { length: string | undefined; encoding: string | undefined; body: Buffer } | undefined;
    await withServer(
      async (request, response) => {
        seen = {
          length: request.headers['content-length'],
          encoding: request.headers['transfer-encoding'],
          body: await bodyOf(request),
        };
        response.end(JSON.stringify(referenced));
      },
      async (client, server) => {
        await client.storeInstance('1.9', instance, signal);
        expect(server.requests).toEqual(['POST /dicom-web/studies/1.9']);
      },
    );
    expect(seen?.encoding).toBeUndefined();
    expect(Number(seen?.length)).toBe(seen?.body.length);
    expect(seen?.body.includes(FILE)).toBe(true);
  });

  it.each([
    [202, 0xa900, 'A900'],
    [409, 0xc000, 'C000'],
    [200, 0x0122, '0122'],
  ])('reports the reason of a permanent failure (%i)', async (status, reason, code) => {
    await withServer(storing([{ status, body: failed(reason) }]), async (client, server) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
        data: { failureReason: code },
      });
      expect(posts(server)).toBe(1);
    });
  });

  it.each([0xa700, 0xa7ff, 0x0110, 0xb00f])('retries after the transient failure %i', async (reason) => {
    await withServer(
      storing([
        { status: 409, body: failed(reason) },
        { status: 200, body: referenced },
      ]),
      async (client, server) => {
        await client.storeInstance('1', instance, signal);
        expect(posts(server)).toBe(2);
      },
    );
  });

  it('does not take 202 alone as success', async () => {
    await withServer(storing([{ status: 202, body: {} }]), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
      });
    });
  });

  it('checks before it retries, and sends nothing if the instance is there', async () => {
    await withServer(storing([{ status: 503 }], shown(3)), async (client, server) => {
      await client.storeInstance('1', instance, signal);
      expect(posts(server)).toBe(1);
    });
  });

  it('retries after a lost connection', async () => {
    const good = storing([{ status: 200, body: referenced }]);
    await withServer(
      async (request, response, number) => {
        if (number === 0) request.socket.destroy();
        else await good(request, response, number);
      },
      async (client, server) => {
        await client.storeInstance('1', instance, signal);
        expect(posts(server)).toBe(2);
      },
    );
  });

  it.each([
    ['reason 0111', { status: 409, body: failed(0x0111) }],
    ["reason B00E of Microsoft's server", { status: 409, body: failed(0xb00e) }],
    ['a bare 409', { status: 409 }],
  ])('takes a duplicate (%s) as success only if it is the same image', async (_, answer) => {
    await withServer(storing([answer], shown(3)), (client) => client.storeInstance('1', instance, signal));
    await withServer(storing([answer], shown(4)), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
      });
    });
    await withServer(storing([answer], []), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
      });
    });
  });

  it('believes an empty 200 only if the archive shows the instance', async () => {
    await withServer(storing([{ status: 200 }], shown(3)), (client) =>
      client.storeInstance('1', instance, signal),
    );
    await withServer(storing([{ status: 200 }], []), async (client) => {
      await expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
        code: 'STORE_UNVERIFIED',
      });
    });
  });

  it('reads a failure in XML', async () => {
    const xml = `<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1"><DicomAttribute tag="00081197" vr="US"><Value number="1">43264</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>`;
    await withServer(
      async (request, response) => {
        await bodyOf(request);
        response.writeHead(409, { 'Content-Type': 'application/dicom+xml' }).end(xml);
      },
      async (client) =>
        expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({
          data: { failureReason: 'A900' },
        }),
    );
  });

  it('reads XML made to backtrack without delay', async () => {
    const xml = `tag="00081198"${'tag="00081197"'.repeat(70_000)}`;
    await withServer(
      async (request, response) => {
        await bodyOf(request);
        response.writeHead(409).end(xml);
      },
      async (client) =>
        expect(client.storeInstance('1', instance, signal)).rejects.toMatchObject({ code: 'STORE_REJECTED' }),
    );
  }, 5000);

  it('says that a body is too large, even if the archive does not read it', async () => {
    const large: StorableInstance = {
      ...instance,
      byteLength: 50e6,
      async *stream() {
        for (let i = 0; i < 50; i++) yield Buffer.alloc(1e6);
      },
    };
    await withServer(
      (_, response) => void response.writeHead(413, { Connection: 'close' }).end('too large'),
      async (client) =>
        expect(client.storeInstance('1', large, signal)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' }),
    );
  });

  it('passes on errors of its own body unchanged', async () => {
    await withServer(storing([{ status: 200, body: referenced }]), async (client) => {
      await expect(
        client.storeInstance('1', { ...instance, byteLength: FILE.length + 5 }, signal),
      ).rejects.toMatchObject({ code: 'INTERNAL' });
    });
  });

  it('stops sending when aborted', async () => {
    const abort = new AbortController();
    await withServer(
      (request) => void request.once('data', () => abort.abort()),
      async (client, server) => {
        await expect(client.storeInstance('1', instance, abort.signal)).rejects.toMatchObject({
          code: 'CANCELLED',
        });
        await expect.poll(() => server.connections()).toBe(0);
      },
    );
  });

  it('reads its body no faster than the archive does', async () => {
    let produced = 0;
    const large: StorableInstance = {
      ...instance,
      byteLength: 200e6,
      async *stream() {
        for (let i = 0; i < 200; i++) {
          produced++;
          yield Buffer.alloc(1e6);
        }
      },
    };
    const abort = new AbortController();
    await withServer(
      (request) => void request.pause(),
      async (client) => {
        // Long enough for a client without backpressure to read all of it.
        setTimeout(() => abort.abort(), 300);
        await expect(client.storeInstance('1', large, abort.signal)).rejects.toMatchObject({
          code: 'CANCELLED',
        });
        expect(produced).toBeLessThan(20);
      },
    );
  });
});

describe('verifyInstance', () => {
  it('waits until the archive shows the instance', async () => {
    await withServer(
      (_, response, number) => void response.end(JSON.stringify(number < 2 ? [] : shown(3))),
      (client) => client.verifyInstance('1', '1.2', '1.2.3', { numberOfFrames: 3 }, signal),
    );
  });

  it.each([
    ['absent', []],
    ['other', shown(2)],
  ])('reports STORE_UNVERIFIED if the instance is %s', async (presence, found) => {
    await withServer(storing([], found), async (client) => {
      await expect(
        client.verifyInstance('1', '1.2', '1.2.3', { numberOfFrames: 3 }, signal),
      ).rejects.toMatchObject({ code: 'STORE_UNVERIFIED', data: { presence } });
    });
  });

  it('reads the metadata if search results omit attributes', async () => {
    await withServer(
      (request, response) =>
        void response.end(
          JSON.stringify(
            request.url!.endsWith('/metadata') ? shown(3) : [{ '00080018': { vr: 'UI', Value: ['1.2.3'] } }],
          ),
        ),
      (client) => client.verifyInstance('1', '1.2', '1.2.3', { numberOfFrames: 3 }, signal),
    );
  });
});
