/** Maximum number of studies that a batch can name one by one: the archive is searched for each of them. */
export const MAX_STUDIES = 100;
