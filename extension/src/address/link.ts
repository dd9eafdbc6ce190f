/**
 * What the address of the page says beyond OHIF's own: what is compared, how, and where one looks. UIDs and identifiers only:
 * an address is sent around and logged.
 */
import { TRANSFERS, type TransferName } from '../../../core/src/stain/transfer-name.ts';
import { COMPARISON_MODES, type ComparisonMode, MAX_OTHERS, PAIR_MODES, type SlideSeries } from '../state.ts';

/** In pixels of the base level, with the origin of DICOM: the upper left corner. */
export interface SlidePlace {
  readonly x: number;
  readonly y: number;
  /** Pixels of the base level for one of the screen. */
  readonly zoom: number;
  /** By which the slide is turned, in degrees. */
  readonly turn: number;
}

export interface Link {
  readonly mode: ComparisonMode | 'preview' | null;
  /** How a preview is put against the original; null if it is not. */
  readonly previewed: (typeof PAIR_MODES)[number] | null;
  readonly template: string | null;
  readonly transfer: TransferName | null;
  /** UID of the derived series that is compared with its source. */
  readonly result: string | null;
  /** UID of another derived series that it is compared with; null for the source. */
  readonly against: string | null;
  /** UIDs of further results, which are seen with it two by two. */
  readonly others: readonly string[] | null;
  /** UID of the series that is shown, where there are several. */
  readonly series: string | null;
  readonly place: SlidePlace | null;
}

const NAMES = {
  result: 'compare',
  against: 'compareWith',
  others: 'compareAlso',
  mode: 'stainMode',
  previewed: 'stainPreview',
  template: 'stainTemplate',
  transfer: 'stainTransfer',
  series: 'stainSlide',
  place: 'stainAt',
} as const satisfies Record<keyof Link, string>;
export type LinkPart = keyof Link;

const MODES = [...COMPARISON_MODES, 'preview'] as const;
const UID = /^[0-9]+(\.[0-9]+)+$/;
const MAX_UID_LENGTH = 64;
const MAX_NAME_LENGTH = 100;
/** No slide is shown so much larger than it is. */
const MIN_ZOOM = 1 / 64;

export interface ReadLink {
  readonly link: Link;
  /** What is there but cannot be read. */
  readonly faults: readonly LinkPart[];
}

export function readLink(search: string): ReadLink {
  const parameters = new URLSearchParams(search);
  const faults: LinkPart[] = [];
  const read = <P extends LinkPart>(part: P, parse: (text: string) => Link[P]): Link[P] => {
    const text = parameters.get(NAMES[part]);
    if (text === null) return null as Link[P];
    const value = parse(text);
    if (value === null) faults.push(part);
    return value;
  };
  const link: Link = {
    mode: read('mode', (text) => MODES.find((mode) => mode === text) ?? null),
    previewed: read('previewed', (text) => PAIR_MODES.find((mode) => mode === text) ?? null),
    template: read('template', (text) => (text !== '' && text.length <= MAX_NAME_LENGTH ? text : null)),
    transfer: read('transfer', (text) => TRANSFERS.find((name) => name === text) ?? null),
    result: read('result', uidOf),
    against: read('against', uidOf),
    others: read('others', uidsOf),
    series: read('series', uidOf),
    place: read('place', placeOf),
  };
  return { link, faults };
}

/** @param search of the address: what others have put there stays */
export function writeLink(search: string, link: Link): string {
  const parameters = new URLSearchParams(search);
  const { place, others } = link;
  const texts = { ...link, place: place && textOf(place), others: others?.join('_') ?? null };
  for (const [part, name] of Object.entries(NAMES)) {
    const text = texts[part as LinkPart];
    if (text === null) parameters.delete(name);
    else parameters.set(name, text);
  }
  return `?${parameters}`;
}

/** Whether there is anything of a slide to be seen at a place. */
export function isOn({ x, y, zoom }: SlidePlace, { totalColumns, totalRows }: SlideSeries): boolean {
  return (
    Math.abs(x - totalColumns / 2) <= totalColumns &&
    Math.abs(y - totalRows / 2) <= totalRows &&
    zoom >= MIN_ZOOM &&
    zoom <= Math.max(totalColumns, totalRows)
  );
}

function uidOf(text: string): string | null {
  return text.length <= MAX_UID_LENGTH && UID.test(text) ? text : null;
}

function uidsOf(text: string): readonly string[] | null {
  const uids = text.split('_').map(uidOf);
  return uids.length <= MAX_OTHERS && uids.every((uid) => uid !== null) ? uids : null;
}

/** To a thousandth of a pixel, so that two screens show the same. */
function textOf({ x, y, zoom, turn }: SlidePlace): string {
  const short = (value: number, digits: number): string => String(Number(value.toFixed(digits)));
  const numbers = [short(x, 3), short(y, 3), short(zoom, 6), ...(turn === 0 ? [] : [short(turn, 3)])];
  return numbers.join('_');
}

function placeOf(text: string): SlidePlace | null {
  const numbers = text.split('_').map((part) => (part === '' ? Number.NaN : Number(part)));
  const [x, y, zoom, turn = 0] = numbers;
  if (x === undefined || y === undefined || zoom === undefined) return null;
  if (numbers.length > 4 || !numbers.every(Number.isFinite) || zoom <= 0) return null;
  return { x, y, zoom, turn };
}
