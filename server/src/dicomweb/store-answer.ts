/** Reads the response to a STOW-RS request (PS3.18 10.5.3, PS3.4 table B.2-2) for the one instance that was sent. */

import { type DicomJson, isDicomJsonArray, itemsOf, numberOf, textOf } from '../dicom/json-model.ts';
import { isUid } from '../dicom/uid.ts';

export type StoreOutcome =
  /** The archive lists the instance among those it stored. */
  | { readonly kind: 'stored' }
  /** Status 200, but the response does not mention the instance. */
  | { readonly kind: 'unsaid' }
  /** Failed for now: out of resources, or a processing failure. */
  | { readonly kind: 'later'; readonly reason: number }
  /** The archive has an instance with this UID; `reason` if it gives one. */
  | { readonly kind: 'duplicate'; readonly reason: number | undefined }
  | { readonly kind: 'rejected'; readonly reason: number | undefined };

const RETRIEVE_URL = '00081190';
const REFERENCED_SOP_SEQUENCE = '00081199';
const FAILED_SOP_SEQUENCE = '00081198';
const OTHER_FAILURES_SEQUENCE = '0008119A';
const FAILURE_REASON = '00081197';
const REFERENCED_SOP_INSTANCE_UID = '00081155';

/** Microsoft's server has its own codes for an instance that it has, and for one that is being stored. */
const DUPLICATES = [0x0111, 0xb00e];
const PASSING_FAILURES = [0x0110, 0xb00f];

/** What statuses 200, 202 and 409 and their body say about the instance. 202 alone means that something failed. */
export function readStoreAnswer(status: number, text: string, sopInstanceUid: string): StoreOutcome {
  const answer = parseStoreAnswer(text);
  const failure = answer === undefined ? reasonInXml(text) : failureOf(answer, sopInstanceUid);
  if (failure !== undefined) return failed(failure.reason);
  if (
    answer &&
    itemsOf(answer, REFERENCED_SOP_SEQUENCE).some(
      (item) => textOf(item, REFERENCED_SOP_INSTANCE_UID) === sopInstanceUid,
    )
  )
    return { kind: 'stored' };
  if (status === 200) return { kind: 'unsaid' };
  // Some archives answer 409 with an empty body if they already have the instance.
  return status === 409 ? { kind: 'duplicate', reason: undefined } : { kind: 'rejected', reason: undefined };
}

/** The studies into which instances were stored, as far as their Retrieve URLs tell. */
export function studiesOf(answer: DicomJson): string[] {
  const named = [answer, ...itemsOf(answer, REFERENCED_SOP_SEQUENCE)].map(
    (item) => /\/studies\/([\d.]+)/.exec(textOf(item, RETRIEVE_URL) ?? '')?.[1],
  );
  return [...new Set(named.filter(isUid))];
}

/** Failure Reason in the notation of the standard, `A700`. */
export function formatReason(reason: number): string {
  return reason.toString(16).toUpperCase().padStart(4, '0');
}

function failed(reason: number | undefined): StoreOutcome {
  if (reason === undefined) return { kind: 'rejected', reason };
  if (DUPLICATES.includes(reason)) return { kind: 'duplicate', reason };
  const isOutOfResources = reason >> 8 === 0xa7;
  return isOutOfResources || PASSING_FAILURES.includes(reason)
    ? { kind: 'later', reason }
    : { kind: 'rejected', reason };
}

function failureOf(answer: DicomJson, sopInstanceUid: string): { reason: number | undefined } | undefined {
  const item =
    itemsOf(answer, FAILED_SOP_SEQUENCE).find(
      (failed) => textOf(failed, REFERENCED_SOP_INSTANCE_UID) === sopInstanceUid,
    ) ??
    // It has no UID, because the archive could not read it; only one instance was sent, so it is ours.
    itemsOf(answer, OTHER_FAILURES_SEQUENCE)[0];
  return item && { reason: numberOf(item, FAILURE_REASON) };
}

/** The response as one data set; archives send it as an object or as an array with one object. */
export function parseStoreAnswer(text: string): DicomJson | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const sets = Array.isArray(value) ? value : [value];
    return isDicomJsonArray(sets) ? sets[0] : undefined;
  } catch {
    return undefined;
  }
}

/** Failure Reason in the Native DICOM Model, which some archives return whatever format is requested. */
function reasonInXml(text: string): { reason: number | undefined } | undefined {
  if (!text.includes(`tag="${FAILED_SOP_SEQUENCE}"`)) return undefined;
  const start = text.indexOf(`tag="${FAILURE_REASON}"`);
  if (start < 0) return { reason: undefined };
  // In the first lines of the attribute: a Value further on belongs to another one.
  const value = /<Value[^<>]*>\s*(\d{1,5})\b/.exec(text.slice(start, start + 500))?.[1];
  return { reason: value === undefined ? undefined : Number(value) };
}
