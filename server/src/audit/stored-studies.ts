/** For the audit trail: the studies into which instances were stored, from the response to STOW-RS. */
import type { Response } from 'express';
import type { DicomJson } from '../dicom/json-model.ts';
import { parseStoreAnswer, studiesOf } from '../dicomweb/store-answer.ts';

/** Enough for several thousand instances. A longer response passes, and is recorded without its studies. */
const MAX_ANSWER_BYTES = 4e6;

/** Called by the code that stores. @param done resolves when the outcome is known, whether or not the client waits */
export function setStoring(response: Response, done: Promise<unknown>): void {
  response.locals['storing'] = done;
}

/** Called by the code that has the response. */
export function setStoredStudies(response: Response, answer: DicomJson): void {
  response.locals['storedStudies'] = studiesOf(answer);
}

/** Resolves as soon as the studies are known; empty if the response names none, or there is no response. */
export async function storedStudies(response: Response): Promise<readonly string[]> {
  await (response.locals['storing'] as Promise<unknown> | undefined)?.catch(() => {});
  return response.locals['storedStudies'] ?? [];
}

/** Passes on the response of an archive, and remembers the studies that it names. */
export async function* readStoredStudies(
  chunks: AsyncIterable<Buffer>,
  response: Response,
): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes <= MAX_ANSWER_BYTES) held.push(chunk);
    else held = [];
    yield chunk;
  }
  const answer = parseStoreAnswer(Buffer.concat(held).toString('utf8'));
  if (answer) setStoredStudies(response, answer);
}
