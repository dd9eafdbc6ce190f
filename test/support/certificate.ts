/** Certificates for this host, as files: a self-signed one, or those of a private CA. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate extends AsyncDisposable {
  readonly certFile: string;
  readonly keyFile: string;
}

export async function makeCertificate(): Promise<Certificate> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-tls-'));
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '1',
      ...subject,
      '-keyout',
      keyFile,
      '-out',
      certFile,
    ],
    { stdio: 'ignore' },
  );
  return { certFile, keyFile, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

export interface Authority extends AsyncDisposable {
  /** Certificate of the CA. */
  readonly caFile: string;
  /** Makes a certificate. @param hosts that a server with it is; default this one */
  issue(name: string, hosts?: string): { readonly certFile: string; readonly keyFile: string };
}

/** A private CA, as a hospital has one. Nothing here trusts it. */
export async function makeAuthority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-ca-'));
  const inFolder = (name: string): string => join(folder, name);
  const openssl = (...given: string[]): void => void execFileSync('openssl', given, { stdio: 'ignore' });
  const [caFile, caKey] = [inFolder('ca.pem'), inFolder('ca.key')];
  const fresh = ['-newkey', 'rsa:2048', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...fresh,
    '-days',
    '1',
    '-subj',
    '/CN=Private CA',
    '-keyout',
    caKey,
    '-out',
    caFile,
  );
  return {
    caFile,
    issue(name, hosts = 'DNS:localhost,IP:127.0.0.1') {
      const [certFile, keyFile, request] = [`${name}.pem`, `${name}.key`, `${name}.csr`].map(inFolder) as [
        string,
        string,
        string,
      ];
      const host = ['-addext', `subjectAltName=${hosts}`];
      openssl('req', ...fresh, '-subj', `/CN=${name}`, ...host, '-keyout', keyFile, '-out', request);
      const signed = ['-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-copy_extensions', 'copy'];
      openssl('x509', '-req', '-in', request, ...signed, '-days', '1', '-out', certFile);
      return { certFile, keyFile };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
