/** dcmjs ships no types for its dictionary. */
declare module 'dcmjs/dictionary' {
  export const dictionary: Record<string, { tag: string; vr: string; name: string }>;
}
