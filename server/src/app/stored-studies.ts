/** Into which studies instances were stored, from the answer to STOW-RS: for the audit trail. */
import { Transform } from 'node:stream';
import type { Response } from 'express';
import { parseStoreAnswer, studiesOf } from '../dicomweb/store-answer.ts';

/** Some thousand instances. What is longer passes, and is told without its studies. */
const MAX_ANSWER_BYTES = 4e6;

/** Of a response whose answer has passed; empty where it names none. */
export function storedStudies(response: Response): readonly string[] {
  return response.locals['storedStudies'] ?? [];
}

/** A stream that the answer of an archive passes through. */
export function readStoredStudies(response: Response): Transform {
  let chunks: Buffer[] = [];
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
      else chunks = [];
      done(null, chunk);
    },
    flush(done) {
      const answer = parseStoreAnswer(Buffer.concat(chunks).toString('utf8'));
      if (answer) response.locals['storedStudies'] = studiesOf(answer);
      done();
    },
  });
}
