/** The model of a request that names none: the small network, which runs on any machine (README, Performance). */
export const DEFAULT_MODEL = 'fast';
