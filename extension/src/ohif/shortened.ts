/** The beginning of a text, as a value of SH, LO or PN, in which a backslash would begin another. */
export function shortened(words: string, bytes: number): string {
  const plain = words.replace(/[\\\p{Cc}]+/gu, ' ').trim();
  const cut = new TextDecoder().decode(new TextEncoder().encode(plain).subarray(0, bytes));
  // What is left of a character that was cut.
  return cut.replace(/\uFFFD$/, '').trim();
}
