/** The encoding of the frames of a result. */

/** `jpeg`: JPEG baseline 4:2:2. The others are lossless. */
export const OUTPUT_ENCODINGS = ['jpeg', 'htj2k', 'jpeg2000'] as const;
export type OutputEncoding = (typeof OUTPUT_ENCODINGS)[number];

/** Used if neither the request nor the configuration says otherwise. */
export const DEFAULT_OUTPUT = { encoding: 'jpeg', quality: 90 } as const;
