/**
 * How colours are moved. `linear`: one map of optical density for the slide, from the mixture's class means (Beer and Lambert).
 * `paper`: class by class as published (Zanjani et al. 2018).
 */
export const TRANSFERS = ['linear', 'paper'] as const;
export type TransferName = (typeof TRANSFERS)[number];
export const DEFAULT_TRANSFER: TransferName = 'linear';
