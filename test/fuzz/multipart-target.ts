/** Multipart bodies with their content type, in chunks of every size. */

import { StainError } from '../../core/src/errors.ts';
import { negotiateFrames, negotiateInstances } from '../../server/src/archive/accept.ts';
import { boundaryOf, readMultipart } from '../../server/src/dicomweb/multipart-reader.ts';
import type { Seed } from './mutate.ts';
import type { Targets } from './targets.ts';

/** The first line is the content type, the rest the body. */
function seedOf(contentType: string, body: string): Seed {
  const text = `${contentType}\n${body}`;
  return {
    bytes: Buffer.from(text, 'latin1'),
    places: [...text.matchAll(/[\r\n:;="-]/g)].map(({ index }) => index),
    tokens: [/\r\n|--|[\w/*.]+|[;:="]/g],
    odd: [
      '',
      '\r',
      '\n',
      '\r\n\r\n',
      '\r\n--boundary',
      '--',
      '"',
      '\\',
      ';',
      ' '.repeat(300),
      'x'.repeat(20_000),
      '\0',
    ],
  };
}

const part = (body: string, header = 'Content-Type: image/jpeg\r\n'): string =>
  `--boundary\r\n${header}\r\n${body}\r\n`;

const SEEDS = [
  seedOf(
    'multipart/related; type="application/dicom"; boundary=boundary',
    `${part('one')}${part('\r\n--bound')}${part('')}--boundary--\r\n`,
  ),
  seedOf(
    'Multipart/Related; type="image/jpeg; transfer-syntax=*"; boundary="boundary"',
    `preamble\r\n${part('x'.repeat(300), 'A: b\r\nC: d;e="f\\"g"\r\n')}--boundary--epilogue`,
  ),
];

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  // The size of the chunks follows from the input, so that it is the same when it is tried again.
  const size = 1 + (bytes.reduce((sum, byte) => sum + byte, 0) % 97);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function negotiate(accept: string): void {
  for (const ask of [
    (text: string) => negotiateFrames(text, '1.2.840.10008.1.2.4.50', 1),
    (text: string) => negotiateInstances(text, ['1.2.840.10008.1.2.4.50']),
  ]) {
    try {
      ask(accept);
    } catch (error) {
      if (!(error instanceof StainError)) throw error;
    }
  }
}

export const multipartTarget: Targets = {
  multipart: async () => ({
    seeds: SEEDS,
    count: 30_000,
    async read(bytes) {
      const line = Math.max(0, bytes.indexOf(0x0a));
      const contentType = Buffer.from(bytes.subarray(0, line)).toString('latin1');
      negotiate(contentType);
      let total = 0;
      const body = chunksOf(bytes.subarray(line + 1));
      for await (const { body: chunks } of readMultipart(body, boundaryOf(contentType), { maxParts: 50 }))
        for await (const chunk of chunks) total += chunk.length;
      if (total > bytes.length) throw new Error('The parts are longer than the body.');
    },
  }),
};
