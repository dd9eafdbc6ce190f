/** Statistics of the stain classes of a slide or template, as computed by the fit and stored in documents. */
import { z } from 'zod';

const triple = z.tuple([z.number(), z.number(), z.number()]).readonly();

export const classStatistics = z.object({ share: z.number(), mean: triple, sd: triple }).meta({
  id: 'ClassStatistics',
  description: 'Share, mean and standard deviation of one stain class in (D, cx, cy)',
});

export const densityStatistics = z
  .object({ share: z.number(), mean: triple, covariance: z.tuple([triple, triple, triple]).readonly() })
  .meta({
    id: 'DensityStatistics',
    description: 'Share, mean and covariance of one stain class in optical density (R, G, B)',
  });

/** Mean and standard deviation of one class in (D, cx, cy) of the HSD model, and its share of the pixels. */
export type ClassStatistics = z.infer<typeof classStatistics>;

/** Mean and covariance of one class in optical density (R, G, B), and its share of the pixels. */
export type DensityStatistics = z.infer<typeof densityStatistics>;
