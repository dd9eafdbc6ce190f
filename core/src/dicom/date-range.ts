/** A date of a search, YYYYMMDD, or a range of two of which one may be absent (PS3.4 C.2.2.2.5.1); `*` matches any. */
export const DATE_RANGE = /^(\*|(\d{8})?(-(\d{8})?)?)$/;
