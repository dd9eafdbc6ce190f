/** Stands for the archive of `dicomweb.url`, or the embedded one, which is also meant where no name is given. */
export const DEFAULT_ARCHIVE = 'default';
