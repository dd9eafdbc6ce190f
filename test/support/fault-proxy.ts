/** A streaming proxy in front of a real archive. It causes faults on request while it runs. */
import { request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { bodyOf, type FaultServer, startFaultServer } from './fault-server.ts';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The archive's response to the request, which is streamed. */
  ask(upload?: BodyFilter): Promise<IncomingMessage>;
  /** Passes the archive's response on. */
  pass(answer: IncomingMessage, download?: BodyFilter): Promise<void>;
}

/** Changes a body on its way. */
export type BodyFilter = (body: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

/** What happens to a request that is not passed on. */
export type Fault = (exchange: Exchange) => void | Promise<void>;

export type Matcher = (request: IncomingMessage) => boolean;

export interface Injection {
  /** Number of requests that have met the fault. */
  readonly met: number;
}

export interface FaultProxy extends Omit<FaultServer, 'requests'> {
  /** The first `times` matching requests meet the fault. The fault injected last takes precedence. */
  inject(matches: Matcher, fault: Fault, times?: number): Injection;
  /** From now on everything is passed on. */
  heal(): void;
}

/** @param target root of the archive's DICOMweb service */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  let injections: { matches: Matcher; fault: Fault; left: number; met: number }[] = [];
  const server = await startFaultServer(async (request, response) => {
    const exchange = exchangeWith(target, request, response);
    const injection = injections.find(({ matches, left }) => left > 0 && matches(request));
    try {
      if (!injection) await exchange.pass(await exchange.ask());
      else {
        injection.left -= 1;
        injection.met += 1;
        await injection.fault(exchange);
      }
    } catch {
      // If the client or the archive closes its connection, the other one is closed too.
      response.destroy();
    }
  });
  return {
    ...server,
    inject(matches, fault, times = Number.POSITIVE_INFINITY) {
      const injection = { matches, fault, left: times, met: 0 };
      injections.unshift(injection);
      return injection;
    },
    heal: () => {
      injections = [];
    },
  };
}

function exchangeWith(target: string, request: IncomingMessage, response: ServerResponse): Exchange {
  return {
    request,
    response,
    async ask(upload = (body) => body) {
      const { host: _, ...headers } = request.headers;
      const url = target + request.url!.replace(/^\/dicom-web/, '');
      const onward = forward(url, { method: request.method ?? 'GET', headers });
      // A client that leaves takes its request with it.
      response.once('close', () => onward.destroy());
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        onward.once('response', resolve).once('error', reject);
      });
      const [answer] = await Promise.all([answered, pipeline(upload(request), onward)]);
      return answer;
    },
    async pass(answer, download = (body) => body) {
      response.writeHead(answer.statusCode!, answer.headers);
      await pipeline(download(answer), response);
    },
  };
}

export const isInstance: Matcher = ({ method, url }) =>
  method === 'GET' && /\/instances\/[\d.]+$/.test(url ?? '');
export const isStore: Matcher = ({ method }) => method === 'POST';
export const isAny: Matcher = () => true;

/** Resets the connection before any response. */
export const reset: Fault = ({ request }) => {
  request.socket.resetAndDestroy();
};

/** Resets the connection after the first bytes of the body. */
export function resetAfter(bytes: number): Fault {
  return async ({ request, ask, pass }) => {
    await pass(await ask(), async function* (body) {
      let left = bytes;
      for await (const chunk of body) {
        yield chunk.subarray(0, left);
        left -= chunk.length;
        if (left > 0) continue;
        // The bytes written so far must be sent before the connection breaks.
        await pause(20);
        request.socket.resetAndDestroy();
        return;
      }
    });
  };
}

/** The archive carries the request out, but its response is lost. */
export const loseAnswer: Fault = async ({ request, ask }) => {
  await bodyOf(await ask());
  request.socket.resetAndDestroy();
};

/** Never responds. */
export const hang: Fault = () => {};

/** Delays the request, and then passes it on. */
export function delay(milliseconds: number): Fault {
  return async ({ ask, pass }) => {
    await pause(milliseconds);
    await pass(await ask());
  };
}

/** Slows bodies down, in both directions. */
export function slow(bytesPerSecond: number): Fault {
  const trickle: BodyFilter = async function* (body) {
    const piece = Math.max(1, Math.round(bytesPerSecond / 20));
    for await (const chunk of body)
      for (let at = 0; at < chunk.length; at += piece) {
        await pause(50);
        yield chunk.subarray(at, at + piece);
      }
  };
  return async ({ ask, pass }) => pass(await ask(trickle), trickle);
}

/** The proxy responds; the archive never receives the request. */
export function answer(status: number, headers: Record<string, string> = {}, json?: object): Fault {
  return async ({ request, response }) => {
    await bodyOf(request);
    response.writeHead(status, json ? { ...headers, 'content-type': 'application/dicom+json' } : headers);
    response.end(json && JSON.stringify(json));
  };
}

/** Changes bytes in the middle of the body. */
export const corrupt: Fault = async ({ ask, pass }) => {
  await pass(await ask(), async function* (body) {
    let at = 0;
    for await (const chunk of body) {
      yield at < 2000 && at + chunk.length <= 2000 ? chunk : damaged(chunk, Math.max(0, 2000 - at));
      at += chunk.length;
    }
  });
};

/** Everything from `start` on, except for the last bytes, which may be the end of a multipart body. */
function damaged(chunk: Buffer, start: number): Buffer {
  return Buffer.from(chunk).fill(0xee, start, Math.max(start, chunk.length - 200));
}

/** A complete multipart response with an instance that is truncated within its frames. */
export const truncateInstance: Fault = async ({ response, ask }) => {
  const answered = await ask();
  const body = await bodyOf(answered);
  const end = body.lastIndexOf('\r\n--');
  const cut = Buffer.concat([body.subarray(0, Math.floor(end * 0.7)), body.subarray(end)]);
  const { 'transfer-encoding': _, ...headers } = answered.headers;
  response.writeHead(answered.statusCode!, { ...headers, 'content-length': cut.length }).end(cut);
};

/** STOW-RS: claims that the instance was stored, and stores nothing. */
export const storeNothing: Fault = async ({ request, response }) => {
  const { sopClassUid, sopInstanceUid } = instanceIn(await bodyOf(request));
  answerStore(response, 200, { '00081199': sequence(sopClassUid, sopInstanceUid) });
};

/** STOW-RS: stores nothing and returns this Failure Reason (PS3.18 table 10.5.3-2). */
export function refuseStore(status: 202 | 409, reason: number): Fault {
  return async ({ request, response }) => {
    const { sopClassUid, sopInstanceUid } = instanceIn(await bodyOf(request));
    answerStore(response, status, { '00081198': sequence(sopClassUid, sopInstanceUid, reason) });
  };
}

/** STOW-RS: stores the instance and responds that it was already there. */
export const storeAsDuplicate: Fault = async ({ response, ask }) => {
  await bodyOf(await ask());
  response.writeHead(409).end();
};

/** The UIDs in the File Meta Information of the only instance in a body. */
function instanceIn(body: Buffer): { sopClassUid: string; sopInstanceUid: string } {
  const valueAt = (element: number): string => {
    const at = body.indexOf(Buffer.from([0x02, 0x00, element, 0x00, 0x55, 0x49]));
    return body.toString('latin1', at + 8, at + 8 + body.readUInt16LE(at + 6)).replace(/\0$/, '');
  };
  return { sopClassUid: valueAt(0x02), sopInstanceUid: valueAt(0x03) };
}

function sequence(sopClassUid: string, sopInstanceUid: string, reason?: number): object {
  return {
    vr: 'SQ',
    Value: [
      {
        '00081150': { vr: 'UI', Value: [sopClassUid] },
        '00081155': { vr: 'UI', Value: [sopInstanceUid] },
        ...(reason !== undefined && { '00081197': { vr: 'US', Value: [reason] } }),
      },
    ],
  };
}

function answerStore(response: ServerResponse, status: number, dataSet: object): void {
  response.writeHead(status, { 'content-type': 'application/dicom+json' }).end(JSON.stringify(dataSet));
}
