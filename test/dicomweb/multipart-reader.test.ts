import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundaryOf, readMultipart } from '../../server/src/dicomweb/multipart-reader.ts';
import { runs } from '../support/property-runs.ts';

async function* chunked(body: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0;
  for (const cut of [...cuts.map((cut) => cut % (body.length + 1)).sort((a, b) => a - b), body.length]) {
    yield body.subarray(from, Math.max(cut, from));
    from = Math.max(cut, from);
  }
}

async function partsOf(
  body: Buffer,
  boundary: string,
  cuts: readonly number[] = [],
  limits = { maxParts: 100 },
): Promise<{ type: string | undefined; body: Buffer }[]> {
  const parts = [];
  for await (const part of readMultipart(chunked(body, cuts), boundary, limits)) {
    const chunks = [];
    for await (const chunk of part.body) chunks.push(chunk);
    parts.push({ type: part.headers.get('content-type'), body: Buffer.concat(chunks) });
  }
  return parts;
}

function compose(parts: readonly Uint8Array[], boundary: string, preamble = '', epilogue = '\r\n'): Buffer {
  const pieces: Uint8Array[] = [Buffer.from(preamble)];
  for (const [i, part] of parts.entries())
    pieces.push(
      Buffer.from(
        `${i === 0 && preamble === '' ? '' : '\r\n'}--${boundary}\r\nContent-Type: image/jpeg\r\n\r\n`,
      ),
      part,
    );
  return Buffer.concat([...pieces, Buffer.from(`\r\n--${boundary}--${epilogue}`)]);
}

// Bodies made of the bytes that occur in delimiters, where readers make mistakes.
const nearDelimiter = fc
  .array(fc.constantFrom('\r', '\n', '-', '--', '\r\n', '\r\n-', '\r\n--', 'b', 'x', '\0'))
  .map((pieces) => Buffer.from(pieces.join('')));
const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const cuts = fc.array(fc.nat(5000), { maxLength: 60 });

describe('readMultipart', () => {
  it('returns the same parts however the body is cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(nearDelimiter, anyBytes), { minLength: 1, maxLength: 6 }),
        cuts,
        async (bodies, at) => {
          const boundary = 'boundary-7f3a';
          const parts = await partsOf(compose(bodies, boundary), boundary, at);
          expect(parts.map(({ body }) => body)).toEqual(bodies);
        },
      ),
      { numRuns: runs(500) },
    );
  });

  it('reads a body that arrives byte by byte', async () => {
    const body = compose([Buffer.from('\r\n--b'), Buffer.alloc(0), Buffer.from('end\r\n')], 'bb');
    const parts = await partsOf(
      body,
      'bb',
      Array.from({ length: body.length }, (_, i) => i),
    );
    expect(parts.map((part) => part.body.toString())).toEqual(['\r\n--b', '', 'end\r\n']);
  });

  it('skips a preamble and an epilogue', async () => {
    const parts = await partsOf(compose([Buffer.from('x')], 'b', 'preamble', '\r\nepilogue'), 'b');
    expect(parts).toEqual([{ type: 'image/jpeg', body: Buffer.from('x') }]);
  });

  it('accepts a part without a header, spaces after a delimiter, and an empty body without its own line break', async () => {
    const parts = await partsOf(
      Buffer.from('--b \t\r\n\r\none\r\n--b\r\nContent-Type: a/b\r\n\r\n--b--'),
      'b',
    );
    expect(parts).toEqual([
      { type: undefined, body: Buffer.from('one') },
      { type: 'a/b', body: Buffer.alloc(0) },
    ]);
  });

  it('skips the unread rest of a part', async () => {
    const body = compose([Buffer.alloc(1000, 'a'), Buffer.from('second')], 'b');
    const read: string[] = [];
    for await (const part of readMultipart(chunked(body, [200, 500]), 'b', { maxParts: 9 })) {
      for await (const chunk of part.body) {
        read.push(Buffer.from(chunk).toString().slice(0, 6));
        break;
      }
    }
    expect(read).toEqual(['aaaaaa', 'second']);
  });

  it('closes its source when the caller stops early', async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        yield compose([Buffer.from('a'), Buffer.from('b')], 'b');
      } finally {
        closed = true;
      }
    }
    for await (const _ of readMultipart(source(), 'b', { maxParts: 9 })) break;
    expect(closed).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['no closing delimiter', '--b\r\n\r\nbody'],
    ['a body cut off in its delimiter', '--b\r\n\r\nbody\r\n--'],
    ['a header cut off', '--b\r\nContent-Type: a'],
  ])('refuses %s as truncated', async (_, body) => {
    await expect(partsOf(Buffer.from(body), 'b')).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
  });

  it.each([
    ['an endless preamble', `${'x'.repeat(70_000)}\r\n--b\r\n\r\n\r\n--b--`],
    ['an endless epilogue', `--b\r\n\r\n\r\n--b--${'x'.repeat(70_000)}`],
    ['an endless header', `--b\r\nX: ${'y'.repeat(20_000)}\r\n\r\nbody\r\n--b--`],
    ['a header without a colon', '--b\r\nnonsense\r\n\r\nbody\r\n--b--'],
    ['endless blanks after a delimiter', `--b${' '.repeat(1000)}\r\n\r\n\r\n--b--`],
    ['a boundary that continues', '--b\r\n\r\nbody\r\n--bcd\r\n\r\n\r\n--b--'],
  ])('refuses %s as malformed', async (_, body) => {
    await expect(partsOf(Buffer.from(body), 'b', [100, 5000])).rejects.toMatchObject({
      code: 'ARCHIVE_PROTOCOL',
    });
  });

  it('refuses more parts than allowed', async () => {
    const many = Buffer.from(`--b${'\r\n\r\n\r\n--b'.repeat(50)}--`);
    await expect(partsOf(many, 'b', [], { maxParts: 49 })).rejects.toMatchObject({
      code: 'ARCHIVE_PROTOCOL',
    });
    await expect(partsOf(many, 'b', [], { maxParts: 50 })).resolves.toHaveLength(50);
  });
});

describe('boundaryOf', () => {
  it.each([
    ['multipart/related; boundary=simple', 'simple'],
    ['multipart/related; type="application/dicom"; boundary="with space;and=more"', 'with space;and=more'],
    // As Orthanc sends it: a transfer syntax in quotes, and a long boundary without them.
    [
      `Multipart/Related; type="image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50"; boundary=${'a-1'.repeat(40)}`,
      'a-1'.repeat(40),
    ],
    ['multipart/related;BOUNDARY=b;start="<1>"', 'b'],
  ])('reads %s', (type, boundary) => {
    expect(boundaryOf(type)).toBe(boundary);
  });

  it.each([
    undefined,
    '',
    'application/json',
    'multipart/related',
    'multipart/related; boundary=',
    `multipart/related; boundary=${'x'.repeat(300)}`,
    'multipart/related; boundary="a\nb"',
  ])('refuses %s', (type) => {
    expect(() => boundaryOf(type)).toThrow(expect.objectContaining({ code: 'ARCHIVE_PROTOCOL' }));
  });
});
