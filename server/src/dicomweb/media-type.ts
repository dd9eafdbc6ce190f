/** Media types with parameters (RFC 9110 section 8.3.1), parsed leniently: archives quote them in different ways. */

export interface MediaType {
  /** `type/subtype` in lower case. */
  readonly essence: string;
  /** Parameters by lower-case name, without quotes. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Parses a `Content-Type`, or one member of an `Accept` list. */
export function parseMediaType(text: string): MediaType {
  const [essence = '', ...parameters] = splitOutsideQuotes(text, ';');
  const pairs = parameters.map((parameter): [string, string] => {
    const equals = parameter.indexOf('=');
    if (equals < 0) return [parameter.trim().toLowerCase(), ''];
    return [parameter.slice(0, equals).trim().toLowerCase(), unquote(parameter.slice(equals + 1).trim())];
  });
  return { essence: essence.trim().toLowerCase(), parameters: new Map(pairs) };
}

/** Splits at a separator that is not inside double quotes. */
export function splitOutsideQuotes(text: string, separator: ',' | ';'): string[] {
  const pieces: string[] = [];
  let quoted = false;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (quoted && text[i] === '\\') i++;
    else if (text[i] === '"') quoted = !quoted;
    else if (text[i] === separator && !quoted) {
      pieces.push(text.slice(start, i));
      start = i + 1;
    }
  }
  pieces.push(text.slice(start));
  return pieces;
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value;
  return value.slice(1, value.length > 1 && value.endsWith('"') ? -1 : undefined).replace(/\\(.)/g, '$1');
}
