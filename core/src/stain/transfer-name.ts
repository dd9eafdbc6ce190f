/**
 * How the stain of a slide is transferred to that of a template. `linear`: one map of optical density for the slide,
 * from the mixture's class means (Beer-Lambert). `paper`: the transfer of Zanjani et al. 2018 as published, class by
 * class.
 */
export const TRANSFERS = ['linear', 'paper'] as const;
export type TransferName = (typeof TRANSFERS)[number];
export const DEFAULT_TRANSFER: TransferName = 'linear';

/** As headers say it, in at most 64 characters (LO). */
export const TRANSFER_IN_WORDS: Readonly<Record<TransferName, string>> = {
  linear: 'linear map of optical density',
  paper: 'class by class, as published',
};

/** The transfer that a header names; undefined if another version wrote it. */
export function transferOf(words: string): TransferName | undefined {
  return TRANSFERS.find((name) => TRANSFER_IN_WORDS[name] === words);
}
