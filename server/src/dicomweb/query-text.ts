/** Queries as archives are sent them. Not every archive decodes them (Orthanc), so nothing is encoded needlessly. */

/**
 * What RFC 3986 (section 3.4) allows in a query beyond what `encodeURIComponent` leaves alone. Without `&`, `+` and `;`,
 * which some take for a separator or a space.
 */
const ALLOWED = /%(?:2C|2F|3A|3D|3F|40|24)/g;

export function queryText(parameters: Iterable<readonly [name: string, value: string]>): string {
  return [...parameters].map((pair) => pair.map(encoded).join('=')).join('&');
}

function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(ALLOWED, decodeURIComponent);
}
