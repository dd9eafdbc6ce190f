/** What ends TLS before a server of this host and asks for client certificates, as a hospital's reverse proxy does. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { createServer } from 'node:tls';
import type { Authority } from './certificate.ts';

export interface TlsFront extends AsyncDisposable {
  readonly port: number;
  /** Common names of the clients that were let through. */
  readonly clients: ReadonlySet<unknown>;
}

/** @param behind port of the server */
export async function requireCertificate(ca: Authority, behind: number): Promise<TlsFront> {
  const { certFile, keyFile } = ca.issue('archive');
  const [cert, key, caFile] = await Promise.all([certFile, keyFile, ca.caFile].map((file) => readFile(file)));
  const clients = new Set<unknown>();
  const front = createServer({ cert, key, ca: caFile, requestCert: true }, (socket) => {
    clients.add(socket.getPeerCertificate().subject?.CN);
    const archive = connect(behind, '127.0.0.1');
    for (const end of [socket, archive]) end.on('error', () => socket.destroy() && archive.destroy());
    socket.pipe(archive).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  return {
    port: (front.address() as AddressInfo).port,
    clients,
    async [Symbol.asyncDispose]() {
      front.close();
    },
  };
}
