/** Times, stages and colours, as the panel shows them. */

import type { Job } from '../../../core/src/contract/index.ts';
import type { ClassStatistics } from '../../../core/src/stain/class-statistics.ts';
import { language } from '../strings/language.ts';
import { translate } from '../strings/translate.ts';

const date = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
const day = new Intl.DateTimeFormat(language, { dateStyle: 'medium' });

/** @param iso what it says where it is no date */
export function formatDate(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? iso : date.format(time);
}

/** @param date DA (PS3.5 6.2): 20261126; what it says where it is none */
export function formatDicomDate(date: string): string {
  const [, year, month, dayOfMonth] = /^(\d{4})(\d{2})(\d{2})$/.exec(date) ?? [];
  return year ? day.format(new Date(Number(year), Number(month) - 1, Number(dayOfMonth))) : date;
}

/** @param name of a part of ONNX Runtime, as it calls it */
export function formatProvider(name: string): string {
  return name.replace('ExecutionProvider', '');
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
