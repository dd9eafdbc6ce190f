/** Into which studies instances were stored, from the answer to STOW-RS: for the audit trail. */
import type { Response } from 'express';
import type { DicomJson } from './dicomweb/dicom-json.ts';
import { parseStoreAnswer, studiesOf } from './dicomweb/store-answer.ts';

/** Some thousand instances. What is longer passes, and is told without its studies. */
const MAX_ANSWER_BYTES = 4e6;

/** Told by whoever stores. @param done when it is known what became of it, whether the client waits or not */
export function setStoring(response: Response, done: Promise<unknown>): void {
  response.locals['storing'] = done;
}

/** Told by whoever has the answer. */
export function setStoredStudies(response: Response, answer: DicomJson): void {
  response.locals['storedStudies'] = studiesOf(answer);
}

/** As soon as it is known; empty where the answer names none, or there is none. */
export async function storedStudies(response: Response): Promise<readonly string[]> {
  await (response.locals['storing'] as Promise<unknown> | undefined)?.catch(() => {});
  return response.locals['storedStudies'] ?? [];
}

/** Passes the answer of an archive on, and remembers what it names. */
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
