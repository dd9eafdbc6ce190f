/**
 * How the stain of a slide is moved onto that of a template. `linear`: one map of optical density for the slide, from the
 * mixture's class means (Beer and Lambert). `paper`: the transfer of Zanjani et al. 2018 as published, class by class.
 */
export const TRANSFERS = ['linear', 'paper'] as const;
export type TransferName = (typeof TRANSFERS)[number];
export const DEFAULT_TRANSFER: TransferName = 'linear';
