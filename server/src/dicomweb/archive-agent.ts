/** How connections to an archive are opened: with its certificates, and through its proxy or that of the process. */
import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent, ProxyAgent } from 'undici';
import type { TlsFiles } from '../tls.ts';

export interface HttpProxy {
  readonly url: string;
  /** Value of Proxy-Authorization. */
  readonly authorization?: string | undefined;
}

/** How an archive is reached. */
export interface Reach {
  /** CA certificates in place of the usual ones, and a client certificate. */
  readonly tls?: TlsFiles | undefined;
  /** In place of the proxy of the process. */
  readonly proxy?: HttpProxy | undefined;
  /** Maximum number of connections; default: as many as are needed. */
  readonly maxConnections?: number | undefined;
}

export interface ArchiveAgentOptions extends Reach {
  /** How long opening a connection may take. */
  readonly connectMs: number;
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  readonly pipelining?: number;
}

/** What only this host can reach, such as the archive of a folder; a proxy could not. */
const OWN_HOST = ['localhost', '127.0.0.1', '::1'];

export function archiveAgent({
  tls = {},
  proxy,
  maxConnections,
  connectMs,
  ...limits
}: ArchiveAgentOptions): Dispatcher {
  // HTTP/1.1, because its flow control is the socket's, which suits a stream the size of a slide.
  const allowH2 = false;
  const open = buildConnector({ ...tls, timeout: connectMs, allowH2 });
  const connect: buildConnector.connector = (options, callback) =>
    open(options, (...opened) => {
      const [, socket] = opened;
      // A server refuses a client certificate by an alert and hangs up: undici would report only the latter.
      socket?.once('error', (alert) => socket.destroy(alert));
      callback(...opened);
    });
  const options = {
    ...limits,
    connect,
    allowH2,
    ...(maxConnections !== undefined && { connections: maxConnections }),
  };
  if (proxy)
    return new ProxyAgent({
      ...options,
      uri: proxy.url,
      ...(proxy.authorization !== undefined && { token: proxy.authorization }),
      connectTimeout: connectMs,
      requestTls: { ...tls, timeout: connectMs },
    });
  // Node's own switch: with it, fetch obeys HTTP_PROXY, HTTPS_PROXY and NO_PROXY too.
  if (process.env['NODE_USE_ENV_PROXY'] !== '1') return new Agent(options);
  const { no_proxy = process.env['NO_PROXY'] } = process.env;
  return new EnvHttpProxyAgent({
    ...options,
    connectTimeout: connectMs,
    requestTls: { ...tls, timeout: connectMs },
    noProxy: [...(no_proxy ? [no_proxy] : []), ...OWN_HOST].join(','),
  });
}
