/**
 * URLs of bulk data in the archive, as tokens for our origin. The browser can reach no other origin (the viewer's
 * Content-Security-Policy), and if a client could write the URL, it could reach any other service of the archive with
 * our credentials. So only a URL below the archive's root that the archive itself returned becomes a token, bound to
 * archive, study and user by HMAC-SHA256.
 *
 * Tokens do not expire, because they open nothing by themselves. Each fetch needs the login of the user for whom the
 * token was made, and an archive that knows users is queried with that user's token. A time limit would only break
 * slides that stay open.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';
import { isUid } from '../dicom/uid.ts';

/** As a token, the URL must fit into a target (resource.ts). */
const MAX_ADDRESS_LENGTH = 2048;
/** Path segments without percent-encoding, and a query: every URL parser understands these in the same way. */
const BELOW =
  /^(?:[\w.~!$&'()*+,=:@-]+\/)*[\w.~!$&'()*+,=:@-]+(?:\?(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$/;

const payloadForm = z.tuple([z.string().refine(isUid), z.string()]);

export interface BulkDataSource {
  /** URL of the response that contains the URL. */
  readonly base: URL;
  /** Origin that the archive was told to use in its responses (Forwarded). */
  readonly forwardedOrigin: string | undefined;
  /** Requested study. If undefined, the URL must name one. */
  readonly study: string | undefined;
  /** Id of the principal. */
  readonly user: string;
}

export class BulkDataAddresses {
  readonly #root: URL;
  readonly #key: Buffer;

  /** @param root URL of the archive, with a trailing slash, without credentials @param key of 32 bytes */
  constructor(root: URL, key: Buffer) {
    this.#root = root;
    this.#key = key;
  }

  /** A token for a URL of the archive; undefined for any other URL. */
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
   * @returns the study, and the path and query at the archive
   * @throws NOT_FOUND unless the token was made here, for this user and this archive
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
  return new StainError('NOT_FOUND', 'There is no such bulk data, or you may not see it.');
}
