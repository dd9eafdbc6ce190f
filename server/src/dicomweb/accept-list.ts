/** Accept lists of DICOMweb (PS3.18 8.7.5), parsed leniently: clients quote them in different ways. */
import { type MediaType, parseMediaType, splitOutsideQuotes } from './media-type.ts';

/** One member of an Accept list. */
export interface Accepted {
  readonly multipart: boolean;
  /** Media type of the parts, or of the single body. */
  readonly type: string;
  readonly transferSyntax: string | undefined;
  /** Types that the list refuses or wants less: a wildcard includes none of them (RFC 9110 12.5.1). */
  readonly excluded: ReadonlySet<string>;
}

/**
 * The most wanted first, by weight and then by place in the list, without what is refused (`q=0`, RFC 9110 12.4.2); if
 * the list is absent, the standard's default.
 */
export function parseAccept(accept: string | undefined): Accepted[] {
  const members = splitOutsideQuotes(accept ?? '', ',').filter((member) => member.trim() !== '');
  if (members.length === 0)
    return [{ multipart: true, type: '*/*', transferSyntax: undefined, excluded: new Set() }];
  const all = members.map((member) => {
    const media = parseMediaType(member);
    return { weight: weightOf(media), ...accepted(media) };
  });
  return all
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
    .map(({ weight, ...member }) => {
      const less = all.filter((other) => other.transferSyntax === undefined && other.weight < weight);
      return { ...member, excluded: new Set(less.map(({ type }) => type)) };
    });
}

/** Whether a member, possibly with wildcards, includes a media type. */
export function includesType({ type, excluded }: Accepted, offered: string): boolean {
  if (type === offered) return true;
  const isWithin = type === '*/*' || (type.endsWith('/*') && offered.startsWith(type.slice(0, -1)));
  return isWithin && !excluded.has(offered);
}

function accepted({ essence, parameters }: MediaType): Omit<Accepted, 'excluded'> {
  const transferSyntax = parameters.get('transfer-syntax');
  // `*/*` gets multipart, the standard's default.
  if (essence === '*/*') return { multipart: true, type: essence, transferSyntax };
  if (essence !== 'multipart/related') return { multipart: false, type: essence, transferSyntax };
  // Some clients put the transfer syntax inside the quotes of the type.
  const inner = parseMediaType(parameters.get('type') ?? '*/*');
  return {
    multipart: true,
    type: inner.essence,
    transferSyntax: transferSyntax ?? inner.parameters.get('transfer-syntax'),
  };
}

/** 1 if none is given, or none that can be read. */
function weightOf({ parameters }: MediaType): number {
  const weight = Number.parseFloat(parameters.get('q') ?? '1');
  return Number.isNaN(weight) ? 1 : weight;
}
