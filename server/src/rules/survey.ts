/**
 * Which studies each search covers. Archives neither sort by arrival nor tell when something arrived, so a watermark in
 * time would miss whatever comes late: the newest studies are searched every time, and the older ones in turn.
 */

/** Days of older studies in one search. */
const SLICE_DAYS = 30;

const DAY_MS = 86_400_000;

export interface Reach {
  readonly lookBackDays: number;
  readonly reachDays: number;
}

/** The studies that every search covers: those of the last days, and any later date, as clocks differ. */
export function recentStudies(today: string, { lookBackDays }: Reach): string {
  return `${daysBefore(today, lookBackDays)}-`;
}

/** Ranges of Study Date for the older studies, the newest first; they follow on one another. */
export function olderStudies(today: string, { lookBackDays, reachDays }: Reach): string[] {
  const ranges: string[] = [];
  for (let newest = lookBackDays + 1; newest <= reachDays; newest += SLICE_DAYS) {
    const oldest = Math.min(newest + SLICE_DAYS - 1, reachDays);
    ranges.push(`${daysBefore(today, oldest)}-${daysBefore(today, newest)}`);
  }
  return ranges;
}

/** @param date as in DICOM (YYYYMMDD) */
export function daysBefore(date: string, days: number): string {
  const [year, month, day] = [date.slice(0, 4), date.slice(4, 6), date.slice(6, 8)].map(Number);
  return dicomDate(new Date(Date.UTC(year!, month! - 1, day!) - days * DAY_MS));
}

export function dicomDate(date: Date): string {
  return date.toISOString().slice(0, 10).replaceAll('-', '');
}
