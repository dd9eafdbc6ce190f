/**
 * Addresses of bulk data in the archive, as tokens for our origin. A browser reaches no other origin (the viewer's
 * Content-Security-Policy), and an address that a client could write would reach any other service of the archive with
 * our credentials. So only an address that the archive itself has answered with, below its root, becomes a token, bound by
 * HMAC-SHA256 to archive, study and user.
 *
 * Tokens do not expire: they open nothing by themselves. Each fetch needs the login of the user they were made for, and an
 * archive that knows users is asked with that user's token. A time limit would only break slides that stay open.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { isUid } from '../dicom/uid.ts';
import { StainError } from '../errors.ts';

/** With the token around it, it must fit into a target (resource.ts). */
const MAX_ADDRESS_LENGTH = 2048;
/** Segments of a path without encodings, and a query: what every reader of URLs understands in the same way. */
const BELOW =
  /^(?:[\w.~!$&'()*+,=:@-]+\/)*[\w.~!$&'()*+,=:@-]+(?:\?(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$/;

const payloadForm = z.tuple([z.string().refine(isUid), z.string()]);

export interface BulkDataSource {
  /** Address of the answer that the address stands in. */
  readonly base: URL;
  /** Origin that the archive was told to write into its answers (Forwarded). */
  readonly forwardedOrigin: string | undefined;
  /** Study that was asked for. Without it the address must name one. */
  readonly study: string | undefined;
  /** Id of the principal. */
  readonly user: string;
}

export class BulkDataAddresses {
  readonly #root: URL;
  readonly #key: Buffer;

  /** @param root of the archive, with a slash at its end, without credentials @param key of 32 bytes */
  constructor(root: URL, key: Buffer) {
    this.#root = root;
    this.#key = key;
  }

  /** A token for an address of the archive; undefined for any other address. */
  tokenOf(address: string, { base, forwardedOrigin, study, user }: BulkDataSource): string | undefined {
    const url = URL.canParse(address, base.href) ? new URL(address, base) : undefined;
    if (!url || (url.origin !== this.#root.origin && url.origin !== forwardedOrigin)) return undefined;
    const below = url.pathname.slice(this.#root.pathname.length) + url.search;
    const hasMore = url.username !== '' || url.password !== '' || url.hash !== '';
    if (!url.pathname.startsWith(this.#root.pathname) || hasMore || !isBelow(below)) return undefined;
    const named = /^studies\/([\d.]+)\//.exec(below)?.[1];
    const itsStudy = study ?? named;
    if (!isUid(itsStudy) || (named !== undefined && named !== itsStudy)) return undefined;
    const payload = Buffer.from(JSON.stringify([itsStudy, below])).toString('base64url');
    return `${payload}.${this.#sign(payload, user).toString('base64url')}`;
  }

  /**
   * @returns the study, and path and query at the archive
   * @throws NOT_FOUND for a token that was not made here, for this user and this archive
   */
  open(token: string, user: string): { study: string; target: string } {
    const [payload = '', signature = ''] = token.split('.');
    const given = Buffer.from(signature, 'base64url');
    const expected = this.#sign(payload, user);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw unknown();
    const [study, below] = payloadForm.parse(JSON.parse(Buffer.from(payload, 'base64url').toString()));
    if (!isBelow(below)) throw unknown();
    return { study, target: this.#root.pathname + below };
  }

  #sign(payload: string, user: string): Buffer {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([this.#root.href, user, payload]))
      .digest();
  }
}

function isBelow(address: string): boolean {
  const [path = ''] = address.split('?', 1);
  return (
    address.length <= MAX_ADDRESS_LENGTH &&
    BELOW.test(address) &&
    path.split('/').every((segment) => !/^\.{1,2}$/.test(segment))
  );
}

function unknown(): StainError {
  return new StainError('NOT_FOUND', 'There is no such bulk data for you.');
}
