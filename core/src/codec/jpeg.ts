/**
 * JPEG baseline with libjpeg-turbo and its accurate inverse DCT, so that a preview in a browser sees the same pixels as
 * the server. The codestream's own markers state the colour space (Adobe transform, JFIF, component
 * identifiers); the DICOM attribute, which is often wrong, counts only if they do not.
 */
import { type CodestreamFormat, type FrameFormat, invalidFrame, requireFormat } from './frame-format.ts';
import { decodeWith, type WasmDecoder, wasmCodec } from './wasm-codec.ts';

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
/** Tables, application data, comments, restart interval: what may precede the frame header. */
const SKIPPED = new Set([0xc4, 0xcc, 0xdb, 0xdd, 0xfe, ...Array.from({ length: 16 }, (_, n) => 0xe0 + n)]);
/** SOF0 and SOF1. */
const SEQUENTIAL_HUFFMAN = new Set([0xc0, 0xc1]);

/**
 * Decodes a codestream whose header was checked to rows x columns x 3 bytes of RGB, to the same bits as the WebAssembly
 * codec. undefined if anything is unusual: the WebAssembly codec then decodes it or says what is wrong.
 * @param memory for the result, of its size; new memory by default
 */
export type NativeJpegDecoder = (
  codestream: Uint8Array,
  size: Pick<FrameFormat, 'columns' | 'rows'>,
  memory?: Uint8Array,
) => Uint8Array | undefined;

let nativeDecoder: () => Promise<NativeJpegDecoder | undefined> = () => Promise.resolve(undefined);

/** Call once, when the decoding module is loaded; without it, WebAssembly decodes everything. */
export function provideNativeJpeg(open: () => Promise<NativeJpegDecoder | undefined>): void {
  nativeDecoder = open;
}

const libjpegTurbo = wasmCodec<{ JPEGDecoder: new () => WasmDecoder }>('libjpeg-turbo');

/** Adobe's marker segment with transform 0: three components are RGB (ISO/IEC 10918-6, 6.5.3). */
const ADOBE_RGB = Uint8Array.of(0xff, 0xee, 0, 14, 65, 100, 111, 98, 101, 0, 100, 0, 0, 0, 0, 0);

/**
 * libjpeg's warnings are errors here: it would replace missing or unreadable data with grey and continue. It does not
 * warn of a missing scan (`endOfCodestream`).
 */
export async function decodeJpeg(
  bytes: Uint8Array,
  format: FrameFormat,
  memory?: Uint8Array,
): Promise<Uint8Array> {
  const header = readHeader(bytes);
  requireFormat(header, format);
  const end = endOfCodestream(bytes, header);
  const decode = (length: number): Promise<Uint8Array> =>
    decodeCodestream(bytes.subarray(0, length), header, format, memory);
  // Without an end marker, a 0 at the end is padding to an even length (PS3.5 A.4) or belongs to the last scan.
  if (end !== undefined || bytes.at(-1) !== 0) return decode(end ?? bytes.length);
  return decode(bytes.length).catch(() => decode(bytes.length - 1));
}

async function decodeCodestream(
  codestream: Uint8Array,
  header: JpegHeader,
  format: FrameFormat,
  memory?: Uint8Array,
): Promise<Uint8Array> {
  const parts = [codestream.subarray(0, 2)];
  // libjpeg assumes YCbCr if the codestream does not say otherwise.
  if (header.colours === undefined && !isYcbcr(header, format)) parts.push(ADOBE_RGB);
  parts.push(codestream.subarray(2));
  // Some encoders omit the end marker. If data are missing too, libjpeg still detects that.
  if (codestream.at(-2) !== 0xff || codestream.at(-1) !== EOI) parts.push(Uint8Array.of(0xff, EOI));
  const whole = concatenated(parts);
  const decodeNatively = await nativeDecoder();
  return (
    decodeNatively?.(whole, format, memory) ??
    libjpegTurbo(({ JPEGDecoder }) => decodeWith(JPEGDecoder, whole, format, (pixels) => pixels))
  );
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What the markers of a codestream say before the first scan. */
interface JpegHeader extends CodestreamFormat {
  /** SOF0. */
  readonly isBaseline: boolean;
  /**
   * What the codestream says about its three components, by the rules of libjpeg: JFIF, then Adobe's transform flag,
   * then the component identifiers. undefined if it says nothing.
   */
  readonly colours: 'YCbCr' | 'RGB' | undefined;
  /** The components have different sampling factors. */
  readonly isSubsampled: boolean;
  /** The three components have the sampling factors of 4:2:2. */
  readonly is422: boolean;
  /** Start of the frame header. */
  readonly end: number;
}

/** Subsampled chroma is YCbCr whatever the attribute says: nobody subsamples green and blue. */
function isYcbcr({ colours, isSubsampled }: JpegHeader, { photometricInterpretation }: FrameFormat): boolean {
  if (colours !== undefined) return colours === 'YCbCr';
  return isSubsampled || photometricInterpretation !== 'RGB';
}

/**
 * Offset after the end marker (EOI), found by following the scans after the frame header (ITU-T T.81 B.1.1); undefined
 * without a marker. Anything after it, such as padding or a line break, is not part of the codestream.
 * @throws FRAME_INVALID if a component has no scan
 */
function endOfCodestream(bytes: Uint8Array, header: JpegHeader): number | undefined {
  let end: number | undefined;
  let scanned = 0;
  for (let at = header.end; at + 1 < bytes.length && end === undefined; ) {
    const marker = bytes[at + 1]!;
    if (bytes[at] !== 0xff || marker === 0 || marker === 0xff || (marker >= 0xd0 && marker <= 0xd7)) at++;
    else if (marker === EOI) end = at + 2;
    else {
      if (marker === SOS) scanned += bytes[at + 4] ?? 0;
      at += 2 + ((bytes[at + 2] ?? 0) << 8) + (bytes[at + 3] ?? 0);
    }
  }
  if (scanned < header.components) throw invalidFrame('A JPEG frame lacks a scan.');
  return end;
}

/**
 * Frame header (SOF) of a baseline or extended sequential codestream (ITU-T T.81 B.2.2). It must be the one that
 * libjpeg finds, because the binding computes its buffer in 32 bits: no marker is skipped that libjpeg reads
 * differently.
 */
function readHeader(bytes: Uint8Array): JpegHeader {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) throw invalidFrame('A frame is not a JPEG codestream.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 2;
  let isJfif = false;
  let adobeTransform: number | undefined;
  while (at + 10 <= bytes.length) {
    if (bytes[at] !== 0xff) throw invalidFrame('A JPEG frame has a damaged header.');
    const marker = bytes[at + 1]!;
    if (SEQUENTIAL_HUFFMAN.has(marker)) {
      const components = bytes[at + 9]!;
      // Identifier, sampling factors and quantisation table of each component.
      const of = (component: number, field: 0 | 1): number => bytes[at + 10 + 3 * component + field] ?? 0;
      const identifiers = String.fromCharCode(of(0, 0), of(1, 0), of(2, 0));
      const byIdentifier = { RGB: 'RGB', '\x01\x02\x03': 'YCbCr' } as const;
      const byAdobe = adobeTransform === 0 ? 'RGB' : 'YCbCr';
      return {
        bitsPerSample: bytes[at + 4]!,
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components,
        isBaseline: marker === 0xc0,
        colours: isJfif
          ? 'YCbCr'
          : adobeTransform !== undefined
            ? byAdobe
            : byIdentifier[identifiers as keyof typeof byIdentifier],
        isSubsampled: new Set([of(0, 1), of(1, 1), of(2, 1)]).size > 1,
        end: at,
        is422: of(0, 1) === 0x21 && of(1, 1) === 0x11 && of(2, 1) === 0x11,
      };
    }
    if (marker === 0xff) {
      at++; // fill byte
    } else if (SKIPPED.has(marker) && view.getUint16(at + 2) >= 2) {
      const opening = String.fromCharCode(...bytes.subarray(at + 4, at + 9));
      if (marker === 0xe0 && opening === 'JFIF\0') isJfif = true;
      if (marker === 0xee && opening === 'Adobe') adobeTransform = bytes[at + 15];
      at += 2 + view.getUint16(at + 2);
    } else {
      throw invalidFrame(`A frame is not baseline JPEG (marker FF${marker.toString(16).toUpperCase()}).`);
    }
  }
  throw invalidFrame('A JPEG frame ends within its header.');
}

/**
 * A stored frame in the form in which it may appear in an instance of JPEG baseline with Photometric Interpretation
 * YBR_FULL_422: complete, of the size in the header, YCbCr, and 4:2:2 unless its own instance calls it YBR_FULL_422.
 * Anything after its end marker is removed. undefined if the frame must be decoded and encoded again.
 * @throws FRAME_INVALID, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED
 */
export function asYbrFull422(bytes: Uint8Array, format: FrameFormat): Uint8Array | undefined {
  const header = readHeader(bytes);
  requireFormat(header, format);
  const end = endOfCodestream(bytes, header);
  const isNamed = format.photometricInterpretation === 'YBR_FULL_422';
  const fits = header.isBaseline && isYcbcr(header, format) && (header.is422 || isNamed);
  return fits && end !== undefined ? bytes.subarray(0, end) : undefined;
}
