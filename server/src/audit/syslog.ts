/**
 * Syslog over TLS (RFC 5424 messages in RFC 5425 framing). Messages that cannot be sent are queued up to a limit;
 * beyond it they are lost and counted.
 */
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import type { Config } from '../config.ts';
import { readTlsFiles } from '../tls.ts';
import { type Loss, WaitingEvents } from './waiting-events.ts';

/** Facility 10 (security/authorization), severity 5 (notice). */
const PRIORITY = 10 * 8 + 5;
const APPLICATION = 'stain-normalization';
const MESSAGE_ID = 'FHIR-AuditEvent';
const MAX_WAITING = 10_000;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;
/** A receiver that accepts nothing for this long counts as gone. */
const SILENCE_MS = 30_000;
/** How long a stopping process waits for the receiver, and how often it checks. */
const CLOSE_MS = 2000;
const CLOSE_LOOK_MS = 20;

export interface SyslogOptions {
  /** Called when a message is lost. @param isFirst the first since sending last worked */
  onLost(isFirst: boolean): void;
  onFault(error: unknown): void;
  /** The event that reports a loss. */
  tell(loss: Loss): object;
}

type Settings = Config['audit']['syslog'] & { readonly host: string };

export class Syslog {
  readonly #connect: () => TLSSocket;
  readonly #options: SyslogOptions;
  readonly #waiting: WaitingEvents<Buffer>;
  #socket: TLSSocket | undefined;
  /** The receiver has presented its certificate: messages written earlier could be lost. */
  #isReady = false;
  #pause = FIRST_PAUSE_MS;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(connectTo: () => TLSSocket, options: SyslogOptions) {
    this.#connect = connectTo;
    this.#options = options;
    this.#waiting = new WaitingEvents({
      max: MAX_WAITING,
      onLost: options.onLost,
      tell: (loss) => messageOf(options.tell(loss), loss.to),
    });
  }

  /** The service starts even if the receiver is away. @throws CONFIGURATION_INVALID for files that cannot be used */
  static async open(settings: Settings, options: SyslogOptions): Promise<Syslog> {
    const { host, port } = settings;
    const files = await readTlsFiles('audit.syslog', settings);
    const connectTo = (): TLSSocket =>
      connect({ host, port, servername: host, minVersion: 'TLSv1.2', ...files });
    return new Syslog(connectTo, options);
  }

  get hasLost(): boolean {
    return this.#waiting.hasLost;
  }

  /** @param recorded ISO 8601 */
  send(event: object, recorded: string): void {
    this.#waiting.add(messageOf(event, recorded));
    this.#flush();
  }

  /** Gives queued messages a moment to leave; the rest is lost. */
  async close(): Promise<void> {
    // A receiver that is not connected yet may be in a moment.
    const end = performance.now() + CLOSE_MS;
    while (this.#socket && this.#waiting.length > 0 && performance.now() < end) await pause(CLOSE_LOOK_MS);
    if (this.#waiting.length > 0) this.#waiting.lose(this.#waiting.length);
    this.#isClosed = true;
    clearTimeout(this.#retry);
    const socket = this.#socket;
    if (!socket) return;
    await new Promise<void>((resolve) => {
      const late = setTimeout(() => socket.destroy(), CLOSE_MS);
      socket.once('close', () => {
        clearTimeout(late);
        resolve();
      });
      socket.end();
    });
  }

  #flush(): void {
    const socket = this.#socket;
    if (socket)
      while (this.#isReady && this.#waiting.length > 0 && !socket.writableNeedDrain) {
        socket.write(this.#waiting.first(1)[0]!);
        this.#waiting.drop(1);
      }
    else if (!this.#retry && !this.#isClosed) this.#open();
  }

  #open(): void {
    const socket = this.#connect();
    this.#socket = socket;
    socket.setTimeout(SILENCE_MS, () => {
      if (!this.#isReady || socket.writableLength > 0) socket.destroy(new Error('The receiver is silent.'));
    });
    socket.once('secureConnect', () => {
      this.#isReady = true;
      this.#pause = FIRST_PAUSE_MS;
      this.#flush();
    });
    socket.on('drain', () => this.#flush());
    socket.on('error', (error) => this.#options.onFault(error));
    socket.once('close', () => {
      this.#socket = undefined;
      this.#isReady = false;
      if (this.#isClosed) return;
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        if (this.#waiting.length > 0) this.#open();
      }, this.#pause).unref();
      this.#pause = Math.min(MAX_PAUSE_MS, this.#pause * 2);
    });
    // There is nothing to read, but otherwise the end of the connection would go unnoticed.
    socket.resume();
  }
}

/** Octet counting (RFC 5425 section 4.3). */
function messageOf(event: object, recorded: string): Buffer {
  const header = `<${PRIORITY}>1 ${recorded} ${hostname().slice(0, 255)} ${APPLICATION} ${process.pid} ${MESSAGE_ID} -`;
  // The byte order mark marks the message as UTF-8 (RFC 5424 section 6.4).
  const message = Buffer.from(`${header} \ufeff${JSON.stringify(event)}`);
  return Buffer.concat([Buffer.from(`${message.length} `), message]);
}
