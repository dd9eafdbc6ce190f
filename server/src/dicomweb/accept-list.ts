/** Accept lists of DICOMweb (PS3.18 8.7.5), parsed leniently: clients quote them in different ways. */
import { type MediaType, parseMediaType, splitOutsideQuotes } from './media-type.ts';

/** One member of an Accept list. */
export interface Accepted {
  readonly multipart: boolean;
  /** Media type of the parts, or of the single body. */
  readonly type: string;
  readonly transferSyntax: string | undefined;
  /** Types that the list refuses: a wildcard includes none of them (RFC 9110 12.5.1). */
  readonly refused: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * The most wanted first, by weight and then by place in the list, without what is refused (`q=0`, RFC 9110 12.4.2); if
 * the list is absent, the standard's default.
 */
export function parseAccept(accept: string | undefined): Accepted[] {
  const members = splitOutsideQuotes(accept ?? '', ',').filter((member) => member.trim() !== '');
  if (members.length === 0)
    return [{ multipart: true, type: '*/*', transferSyntax: undefined, refused: NONE }];
  const { wanted = [], unwanted = [] } = Object.groupBy(members.map(parseMediaType), (member) =>
    weightOf(member) > 0 ? 'wanted' : 'unwanted',
  );
  const refused = new Set(
    unwanted
      .map((member) => accepted(member, NONE))
      .filter(({ transferSyntax }) => transferSyntax === undefined)
      .map(({ type }) => type),
  );
  return wanted.toSorted((a, b) => weightOf(b) - weightOf(a)).map((member) => accepted(member, refused));
}

/** Whether a member, possibly with wildcards, includes a media type. */
export function includesType({ type, refused }: Accepted, offered: string): boolean {
  if (type === offered) return true;
  const isWithin = type === '*/*' || (type.endsWith('/*') && offered.startsWith(type.slice(0, -1)));
  return isWithin && !refused.has(offered);
}

function accepted({ essence, parameters }: MediaType, refused: ReadonlySet<string>): Accepted {
  const transferSyntax = parameters.get('transfer-syntax');
  // `*/*` gets multipart, the standard's default.
  if (essence === '*/*') return { multipart: true, type: essence, transferSyntax, refused };
  if (essence !== 'multipart/related') return { multipart: false, type: essence, transferSyntax, refused };
  // Some clients put the transfer syntax inside the quotes of the type.
  const inner = parseMediaType(parameters.get('type') ?? '*/*');
  return {
    multipart: true,
    type: inner.essence,
    transferSyntax: transferSyntax ?? inner.parameters.get('transfer-syntax'),
    refused,
  };
}

/** 1 if none is given, or none that can be read. */
function weightOf({ parameters }: MediaType): number {
  const weight = Number.parseFloat(parameters.get('q') ?? '1');
  return Number.isNaN(weight) ? 1 : weight;
}
