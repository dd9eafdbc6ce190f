/** The model used if a request names none: the small network, which runs on any machine (docs/performance.md). */
export const DEFAULT_MODEL = 'fast';
