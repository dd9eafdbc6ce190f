/** An archive over TLS with a private CA, as hospitals have it: whom the client trusts, and how it identifies itself. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import { createDicomWebClient, type DicomWebClientOptions } from '../../server/src/dicomweb/client.ts';
import { connectionFault } from '../../server/src/dicomweb/faults.ts';
import { readTlsFiles } from '../../server/src/tls.ts';
import { openArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { type Authority, makeAuthority, makeCertificate } from '../support/certificate.ts';
import { freePort } from '../support/free-port.ts';
import { signal } from './client-support.ts';

let ofArchive: Authority;
let ofClients: Authority;
let clientFiles: { certFile: string; keyFile: string };
beforeAll(async () => {
  [ofArchive, ofClients] = [await makeAuthority(), await makeAuthority()];
  clientFiles = ofClients.issue('stain');
});
afterAll(async () => {
  for (const authority of [ofArchive, ofClients]) await authority[Symbol.asyncDispose]();
});
afterEach(() => void vi.unstubAllEnvs());

interface Files {
  readonly certFile: string;
  readonly keyFile: string;
}

/** @param clientCaFile CA that clients must have a certificate of */
async function serveTls({ certFile, keyFile }: Files, clientCaFile?: string) {
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
  const asks = clientCaFile !== undefined && { ca: await readFile(clientCaFile), requestCert: true };
  /** Common names of the clients that were answered. */
  const clients: unknown[] = [];
  const server = createTlsServer({ cert, key, ...asks }, (request, response) => {
    clients.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN);
    response.setHeader('Content-Type', 'application/dicom+json').end('[]');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://localhost:${port}/dicom-web`,
    port,
    clients,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Node's server hangs up on whom it does not know; most others say why, as OpenSSL does. */
async function serveByOpenssl({ certFile, keyFile }: Files, clientCaFile: string) {
  const port = await freePort();
  const asks = ['-Verify', '1', '-verify_return_error', '-CAfile', clientCaFile];
  const server = spawn(
    'openssl',
    ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', certFile, '-key', keyFile, '-www', ...asks],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const ended = once(server, 'exit');
  const listens = Promise.withResolvers<void>();
  server.stdout.on('data', (said) => String(said).includes('ACCEPT') && listens.resolve());
  await Promise.race([listens.promise, ended]);
  return {
    url: `https://localhost:${port}/dicom-web`,
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL');
      await ended;
    },
  };
}

/** The answer to a search, or the error. */
async function search(options: DicomWebClientOptions): Promise<unknown> {
  const client = createDicomWebClient({ retryDelayMs: 1, ...options });
  try {
    return await client.searchStudies({}, signal).catch((error: unknown) => error);
  } finally {
    await client.close();
  }
}

const settings = (url: string, { certFile, keyFile } = clientFiles) =>
  loadConfig({
    env: {
      STAIN_DICOMWEB_URL: url,
      STAIN_DICOMWEB_TLS_CA_FILE: ofArchive.caFile,
      STAIN_DICOMWEB_TLS_CERT_FILE: certFile,
      STAIN_DICOMWEB_TLS_KEY_FILE: keyFile,
    },
  });

describe('an archive with a private CA that asks for client certificates', () => {
  it('is used with the files of the settings', async () => {
    await using server = await serveTls(ofArchive.issue('archive'), ofClients.caFile);
    await using archive = await openArchiveLocation(server.url, settings(server.url), { create: false });
    expect(await archive.client.searchStudies({}, signal)).toEqual([]);
    expect(server.clients).toEqual(['stain']);
  });

  it('never sees the certificate that is for another archive', async () => {
    await using server = await serveTls(await makeCertificateHere(), ofClients.caFile);
    const config = settings('https://pacs.example/dicom-web');
    await using archive = await openArchiveLocation(server.url, config, { create: false });
    await expect(archive.client.searchStudies({}, signal)).rejects.toMatchObject({
      code: 'ARCHIVE_UNTRUSTED',
    });
    expect(server.clients).toEqual([]);
  });

  it.each([
    ['without a certificate', async () => ({})],
    [
      'with a certificate of another CA',
      async () => {
        const { certFile, keyFile } = ofArchive.issue('stranger');
        return { cert: await readFile(certFile), key: await readFile(keyFile) };
      },
    ],
  ])('refuses a client %s, which waiting does not change', async (_name, own) => {
    await using server = await serveByOpenssl(ofArchive.issue('archive'), ofClients.caFile);
    const tls = { ca: await readFile(ofArchive.caFile), ...(await own()) };
    expect(await search({ url: server.url, tls })).toMatchObject({
      code: 'ARCHIVE_TLS_FAILED',
      isTransient: false,
    });
  });
});

describe('the certificate of an archive', () => {
  it.each([
    ['of a CA that is not known here', () => ofArchive.issue('archive'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['that vouches for itself', makeCertificateHere, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ])('%s is not accepted, and no job waits for it', async (_name, files, cause) => {
    await using server = await serveTls(await files());
    expect(await search({ url: server.url })).toMatchObject({
      code: 'ARCHIVE_UNTRUSTED',
      isTransient: false,
      data: { cause },
    });
    expect(server.clients).toEqual([]);
  });

  it('of another host is not accepted', async () => {
    await using server = await serveTls(ofArchive.issue('other', 'DNS:other.example'));
    const tls = await readTlsFiles('dicomweb.tls', { caFile: ofArchive.caFile });
    expect(await search({ url: server.url, tls })).toMatchObject({
      code: 'ARCHIVE_UNTRUSTED',
      data: { cause: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
  });

  // The codes of Node's documentation of TLS, and what OpenSSL says of a handshake.
  it.each([
    ...['UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_CRL', 'UNABLE_TO_DECRYPT_CERT_SIGNATURE'],
    ...['UNABLE_TO_DECRYPT_CRL_SIGNATURE', 'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY', 'CERT_SIGNATURE_FAILURE'],
    ...['CRL_SIGNATURE_FAILURE', 'CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED', 'CRL_NOT_YET_VALID'],
    ...['CRL_HAS_EXPIRED', 'ERROR_IN_CERT_NOT_BEFORE_FIELD', 'ERROR_IN_CERT_NOT_AFTER_FIELD'],
    ...['ERROR_IN_CRL_LAST_UPDATE_FIELD', 'ERROR_IN_CRL_NEXT_UPDATE_FIELD', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ...['SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ...['CERT_CHAIN_TOO_LONG', 'CERT_REVOKED', 'INVALID_CA', 'PATH_LENGTH_EXCEEDED', 'INVALID_PURPOSE'],
    ...[
      'CERT_UNTRUSTED',
      'CERT_REJECTED',
      'HOSTNAME_MISMATCH',
      'UNSPECIFIED',
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  ])('%s is a fault of the certificate', (code) => {
    const fault = connectionFault(Object.assign(new Error('no'), { code }), 'request', signal);
    expect(fault).toMatchObject({ code: 'ARCHIVE_UNTRUSTED', isTransient: false });
    expect(fault.message).toContain(code);
  });

  it.each(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'EPROTO'])(
    '%s is a fault of the handshake',
    (code) => {
      const fault = connectionFault(Object.assign(new Error('no'), { code }), 'request', signal);
      expect(fault).toMatchObject({ code: 'ARCHIVE_TLS_FAILED', isTransient: false });
    },
  );
});

describe('the files of the settings', () => {
  it.each([
    ['a key without its certificate', () => ({ keyFile: clientFiles.keyFile }), 'dicomweb.tls.certFile'],
    [
      'certificate and key the wrong way round',
      () => ({ certFile: clientFiles.keyFile, keyFile: clientFiles.certFile }),
      'dicomweb.tls.certFile',
    ],
    ['a certificate without its key', () => ({ certFile: clientFiles.certFile }), 'dicomweb.tls.keyFile'],
    [
      'a key of another certificate',
      () => ({ ...clientFiles, keyFile: ofClients.issue('another').keyFile }),
      'dicomweb.tls.keyFile',
    ],
    ['a CA file without a certificate', () => ({ caFile: clientFiles.keyFile }), 'dicomweb.tls.caFile'],
    ['a file that is not there', () => ({ caFile: '/nowhere.pem' }), 'dicomweb.tls.caFile'],
  ])('refused: %s', async (_name, files, key) => {
    await expect(readTlsFiles('dicomweb.tls', files())).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      data: { key },
    });
  });
});

describe('the proxy of the environment', () => {
  /** Lets clients through to one port; requests without TLS it answers itself. */
  async function startProxy(to: number) {
    const asked: string[] = [];
    const authorizations: unknown[] = [];
    const proxy = createServer((request, response) => {
      asked.push(request.url!);
      authorizations.push(request.headers['proxy-authorization']);
      response.writeHead(204).end();
    })
      .on('connect', (request, client) => {
        asked.push(request.url!);
        authorizations.push(request.headers['proxy-authorization']);
        const archive = connect(to, '127.0.0.1', () => {
          client.write('HTTP/1.1 200 OK\r\n\r\n');
          archive.pipe(client).pipe(archive);
        });
        for (const socket of [archive, client]) socket.on('error', () => {});
      })
      .listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    return {
      url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      asked,
      authorizations,
      async [Symbol.asyncDispose]() {
        proxy.closeAllConnections();
        proxy.close();
      },
    };
  }

  it('is used with NODE_USE_ENV_PROXY, and the archive behind it gets the client certificate', async () => {
    const files = ofArchive.issue('pacs', 'DNS:pacs.example');
    await using server = await serveTls(files, ofClients.caFile);
    await using proxy = await startProxy(server.port);
    const tls = await readTlsFiles('dicomweb.tls', { caFile: ofArchive.caFile, ...clientFiles });
    vi.stubEnv('HTTPS_PROXY', proxy.url);
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    vi.stubEnv('NO_PROXY', 'other.example');
    expect(await search({ url: 'https://pacs.example/dicom-web', tls })).toEqual([]);
    expect(proxy.asked).toEqual(['pacs.example:443']);
    expect(server.clients).toEqual(['stain']);
    vi.stubEnv('NO_PROXY', 'pacs.example');
    expect(await search({ url: 'https://pacs.example/dicom-web', tls, maxRetries: 0 })).toMatchObject({
      code: 'ARCHIVE_UNREACHABLE',
    });
    expect(proxy.asked).toHaveLength(1);
  });

  it('gives way to that of an archive, even for this host and without TLS', async () => {
    const files = ofArchive.issue('pacs', 'DNS:pacs.example');
    await using server = await serveTls(files, ofClients.caFile);
    await using proxy = await startProxy(server.port);
    const tls = await readTlsFiles('dicomweb.tls', { caFile: ofArchive.caFile, ...clientFiles });
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY']) vi.stubEnv(name, 'http://127.0.0.1:9');
    const authorization = 'Basic dTpw';
    for (const url of ['https://pacs.example/dicom-web', 'http://127.0.0.1:99/dicom-web'])
      expect(await search({ url, tls, proxy: { url: proxy.url, authorization } })).toEqual([]);
    expect(proxy.asked).toEqual([
      'pacs.example:443',
      expect.stringMatching('^http://127.0.0.1:99/dicom-web/studies'),
    ]);
    expect(server.clients).toEqual(['stain']);
    expect(proxy.authorizations).toEqual([authorization, authorization]);
  });

  it('never gets what is for this host, such as the archive of a folder', async () => {
    await using proxy = await startProxy(9);
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY']) vi.stubEnv(name, proxy.url);
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    vi.stubEnv('NO_PROXY', '');
    await using folder = await temporaryFolder();
    await using archive = await openArchiveLocation(folder.file('slides'), loadConfig({ env: {} }), {
      create: true,
    });
    expect(await archive.client.searchStudies({}, signal)).toEqual([]);
  });
});

async function makeCertificateHere(): Promise<Files> {
  const certificate = await makeCertificate();
  open.use(certificate);
  return certificate;
}
const open = new AsyncDisposableStack();
afterAll(() => open.disposeAsync());
