/** What all connections over TLS share: the files that settings name, and what the codes of failed ones mean. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { invalidSetting, readSettingFile } from './setting.ts';

/** As Node's TLS takes them. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/**
 * @param section of the configuration, such as `dicomweb.tls`
 * @throws CONFIGURATION_INVALID if a file cannot be read, one of certificate and key is missing, or they do not belong
 * together
 */
export async function readTlsFiles(
  section: string,
  {
    caFile,
    certFile,
    keyFile,
  }: {
    readonly caFile?: string | undefined;
    readonly certFile?: string | undefined;
    readonly keyFile?: string | undefined;
  },
): Promise<TlsFiles> {
  if ((certFile === undefined) !== (keyFile === undefined))
    throw invalidSetting(
      `${section}.${certFile === undefined ? 'certFile' : 'keyFile'}`,
      'set both the certificate and the key.',
    );
  const read = async (name: string, file: string | undefined) =>
    file === undefined ? undefined : readSettingFile(`${section}.${name}`, file);
  const [ca, cert, key] = await Promise.all([
    read('caFile', caFile),
    read('certFile', certFile),
    read('keyFile', keyFile),
  ]);
  // Node takes a file without a certificate for an empty list.
  if (ca) requireUsable(`${section}.caFile`, () => new X509Certificate(ca));
  if (cert) requireUsable(`${section}.certFile`, () => new X509Certificate(requirePem(cert)));
  if (cert && key) requireUsable(`${section}.keyFile`, () => createSecureContext({ cert, key }));
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

/** Node reads a certificate in DER too, but not for TLS. */
function requirePem(file: Buffer): Buffer {
  if (file.includes('-----BEGIN')) return file;
  throw Object.assign(new Error('not PEM'), { code: 'ERR_OSSL_PEM_NO_START_LINE' });
}

function requireUsable(setting: string, use: () => unknown): void {
  try {
    use();
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw invalidSetting(
      setting,
      `not a usable PEM file (${why}): a key must belong to its certificate and have no passphrase.`,
      cause,
    );
  }
}

/**
 * Codes of OpenSSL's verification as Node names them (https://nodejs.org/api/tls.html, "X509 certificate error codes").
 * UNSPECIFIED stands for those that have no name, such as a key that is too short.
 */
const VERIFICATION = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'CRL_SIGNATURE_FAILURE',
  'CERT_NOT_YET_VALID',
  'CERT_HAS_EXPIRED',
  'CRL_NOT_YET_VALID',
  'CRL_HAS_EXPIRED',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REVOKED',
  'INVALID_CA',
  'PATH_LENGTH_EXCEEDED',
  'INVALID_PURPOSE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'HOSTNAME_MISMATCH',
  'UNSPECIFIED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
]);

/** The other side's certificate is not accepted here. Waiting does not help. */
export function isCertificateFault(code: string): boolean {
  return VERIFICATION.has(code);
}

/** The two sides find no common way to speak TLS, or the other does not accept our certificate. */
export function isTlsFault(code: string): boolean {
  return /^(ERR_SSL_|ERR_TLS_|EPROTO$)/.test(code) && !isCertificateFault(code);
}

/** The code of an error of a connection, which HTTP clients wrap; of several addresses, that of the first. */
export function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown';
  const { code, cause } = thrown as NodeJS.ErrnoException;
  if (code) return code;
  const inner = cause ?? (thrown as AggregateError).errors?.[0];
  return inner === undefined ? thrown.name : codeOf(inner);
}
