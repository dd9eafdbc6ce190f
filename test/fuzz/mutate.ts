/** Changes of real inputs: what bit rot, broken converters and attackers do to bytes. */
import fc from 'fast-check';

/** An intact input, and where its structure lies: changes there do most harm. */
export interface Seed {
  readonly bytes: Uint8Array;
  /** Offsets of lengths, tags, markers; empty where nothing is known of them. */
  readonly places: readonly number[];
  /** For text: what is replaced as a whole, by another such thing or by one of `odd`; from small to large. */
  readonly tokens?: readonly RegExp[];
  readonly odd?: readonly string[];
}

type Kind =
  | 'bit'
  | 'byte'
  | 'word'
  | 'truncate'
  | 'remove'
  | 'repeat'
  | 'splice'
  | 'insert'
  | 'nest'
  | 'token';

interface Mutation {
  readonly kind: Kind;
  /** Part of the way through the places, or the bytes. */
  readonly place: number;
  readonly atStructure: boolean;
  readonly value: number;
  readonly length: number;
  readonly times: number;
}

/** Numbers that lengths and counts go wrong at. */
const BORDERS = [
  0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0xfffffffe, 0xffffffff,
];
const PLACES = 2 ** 30;
/** Nothing grows beyond this: it is not the size of the input that is on trial. */
const MAX_BYTES = 256 * 1024;

/** Most mutants differ little from their seed: others are refused at once and try nothing. */
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom<Kind>('bit', 'byte', 'word', 'token') },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Kind>('truncate', 'remove', 'repeat', 'splice', 'insert', 'nest'),
    },
  ),
  // No double of fast-check: those are as likely as they are dense, and lie next to 0.
  place: fc.noBias(fc.nat(PLACES - 1)).map((place) => place / PLACES),
  atStructure: fc.boolean(),
  value: fc.oneof(fc.constantFrom(...BORDERS), fc.integer({ min: 0, max: 0xffffffff })),
  length: fc.integer({ min: 1, max: 64 }),
  times: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 30, max: 2000 })),
});
const mutations = fc.oneof(
  fc.array(mutation, { minLength: 1, maxLength: 1 }),
  fc.array(mutation, { minLength: 2, maxLength: 5 }),
);

/** The input of this number: the same for the same seeds and number. */
export function mutant(seeds: readonly Seed[], seed: number, index: number): Buffer {
  const number = Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b);
  const [[changes, from, other]] = fc.sample(
    fc.tuple(mutations, fc.nat(seeds.length - 1), fc.nat(seeds.length - 1)),
    { seed: number, numRuns: 1 },
  ) as [[Mutation[], number, number]];
  let bytes = Buffer.from(seeds[from]!.bytes);
  for (const change of changes) bytes = apply(bytes, seeds[from]!, change, seeds[other]!.bytes);
  return bytes;
}

function apply(
  bytes: Buffer<ArrayBuffer>,
  { places, tokens, odd }: Seed,
  change: Mutation,
  other: Uint8Array,
): Buffer<ArrayBuffer> {
  if (bytes.length === 0) return bytes;
  const at =
    change.atStructure && places.length > 0
      ? Math.min(places[Math.floor(change.place * places.length)]!, bytes.length - 1)
      : Math.floor(change.place * bytes.length);
  const part = bytes.subarray(at, at + change.length);
  const put = (...inserted: Uint8Array[]): Buffer<ArrayBuffer> =>
    Buffer.concat([bytes.subarray(0, at), ...inserted, bytes.subarray(at)]).subarray(0, MAX_BYTES);
  // Text is seldom text any more when its bytes are changed.
  const isText = tokens !== undefined && change.length % 8 > 0;
  switch (isText ? 'token' : change.kind) {
    case 'token':
      return tokens ? withToken(bytes, tokens, odd ?? [], change) : bytes;
    case 'bit':
      bytes[at]! ^= 1 << (change.value & 7);
      return bytes;
    case 'byte':
      bytes[at] = change.value & 0xff;
      return bytes;
    case 'word':
      writeNumber(bytes, at, change.value, change.length);
      return bytes;
    case 'truncate':
      return bytes.subarray(0, at);
    case 'remove':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.length)]);
    case 'repeat':
      return put(...Array.from({ length: change.times }, () => part));
    case 'splice':
      return put(other.subarray(change.value % other.length).subarray(0, change.length * 16));
    case 'insert':
      return put(Buffer.alloc(change.length, change.value & 0xff));
    case 'nest':
      return put(...Array.from({ length: change.times }, () => NESTED[change.value % NESTED.length]!));
  }
}

/** Replaces a token by an odd one or by another of the text. */
function withToken(
  bytes: Buffer<ArrayBuffer>,
  tokens: readonly RegExp[],
  odd: readonly string[],
  { place, value, times, length }: Mutation,
): Buffer<ArrayBuffer> {
  const text = bytes.toString('latin1');
  const found = [...text.matchAll(tokens[length % tokens.length]!)];
  const token = found[Math.floor(place * found.length)];
  if (!token) return bytes;
  const choices = times % 2 === 0 ? odd : found.map(([other]) => other);
  const replacement = choices[value % choices.length] ?? '';
  return Buffer.from(
    text.slice(0, token.index) + replacement + text.slice(token.index + token[0].length),
    'latin1',
  );
}

/** A number of two or four bytes, in either order of them. */
function writeNumber(bytes: Buffer, at: number, value: number, form: number): void {
  const size = form & 1 ? 4 : 2;
  if (at + size > bytes.length) return;
  const number = size === 4 ? value : value & 0xffff;
  if (form & 2) bytes.writeUIntBE(number, at, size);
  else bytes.writeUIntLE(number, at, size);
}

/** Beginnings of what encloses something: a sequence with an item in explicit and implicit VR, JSON, a part. */
const NESTED = [
  Buffer.from([
    0x40, 0, 0x75, 2, 0x53, 0x51, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff,
  ]),
  Buffer.from([0x40, 0, 0x75, 2, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0, 0xe0, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from('{"00400275":{"vr":"SQ","Value":['),
  Buffer.from('\r\n--boundary\r\n'),
];
