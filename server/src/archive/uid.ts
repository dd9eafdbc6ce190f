/**
 * UIDs as they come in URLs and bodies (PS3.5 section 9): digits and dots, at most 64. Everything else is refused,
 * which also keeps `..` and separators out of file names. Leading zeros are let through: real files have them.
 */
export function isUid(text: string | undefined): text is string {
  return text !== undefined && text.length <= 64 && /^\d+(\.\d+)*$/.test(text);
}
