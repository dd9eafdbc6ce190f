/** Archives as requests name them. */
import { z } from 'zod';
import { DEFAULT_ARCHIVE } from './default-archive.ts';

export const nameOfArchive = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'up to 32 lower-case letters, digits and hyphens');

/** The default archive has one name: none. */
const named = nameOfArchive.transform((name) => (name === DEFAULT_ARCHIVE ? undefined : name)).optional();

export const source = named.meta({
  description:
    'Name of the archive that holds the slide (GET /api/archives); default: the archive of the service',
});
export const destination = named.meta({
  description: 'Name of the archive that the result is stored in; default: the archive of the service',
});

/** Where a request reads and where it stores; undefined stands for the default archive. */
export interface ArchiveNames {
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
}

/** The archives of a batch or rule, as it is shown. */
export const usedArchives = {
  source: z.string().optional().meta({ description: 'Archive of the slides; missing: the default archive' }),
  destination: z
    .string()
    .optional()
    .meta({ description: 'Archive of the results; missing: the default archive' }),
};

export const archiveList = z
  .object({
    archives: z.array(
      z.object({
        name: z.string(),
        isReadOnly: z.boolean().meta({ description: 'Not possible as a destination' }),
        dicomWeb: z.string().meta({ description: 'Path of its DICOMweb service at this host' }),
      }),
    ),
  })
  .meta({ id: 'ArchiveList', description: 'The default archive first' });
export type ArchiveList = z.infer<typeof archiveList>;
