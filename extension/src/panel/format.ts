/** Numbers and times in words. */

import type { Job } from '../../../server/src/contract/index.ts';
import type { ClassStatistics } from '../../../server/src/normalization/types.ts';
import { translate } from '../strings/translate.ts';

const number = new Intl.NumberFormat('en');

export function formatCount(value: number): string {
  return number.format(value);
}

/** @param fraction 0 to 1 */
export function formatPercent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}

export function formatSeconds(seconds: number): string {
  return seconds < 10 ? seconds.toFixed(1) : String(Math.round(seconds));
}

/** Rounded, so that it does not pretend to know better. */
export function formatTimeLeft(seconds: number): string {
  if (seconds < 60) return translate('job.seconds', { count: Math.max(5, Math.ceil(seconds / 5) * 5) });
  if (seconds < 5400) return translate('job.minutes', { count: Math.round(seconds / 60) });
  return translate('job.hours', { count: Math.round(seconds / 3600) });
}

export function formatStage({ state, progress }: Pick<Job, 'state' | 'progress'>): string {
  return state === 'SCHEDULED' || !progress
    ? translate('job.waiting')
    : translate(`job.stage.${progress.stage}`);
}

/** The colour of a class's mean: from (D, cx, cy) of HSD back to the densities of R, G, B, and to light. */
export function classColour({ mean: [d, cx, cy] }: Pick<ClassStatistics, 'mean'>): string {
  const tilt = Math.sqrt(3) * cy;
  const densities = [d * (cx + 1), (d / 2) * (2 - cx + tilt), (d / 2) * (2 - cx - tilt)];
  return `rgb(${densities.map((density) => Math.round(255 * Math.exp(-Math.max(0, density)))).join(', ')})`;
}
