/** Hours of a rule: a daily span of time, which may pass midnight. Plain values, no clock. */

export const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;

export interface Hours {
  /** HH:MM. Equal to `to`: the whole day. */
  readonly from: string;
  readonly to: string;
  /** Days on which a span begins. Default: every day. */
  readonly days?: readonly (typeof DAYS)[number][] | undefined;
  /** IANA name. Default: that of the process. */
  readonly timeZone?: string | undefined;
}

const DAY = 24 * 60;
const MINUTE_MS = 60_000;

/**
 * When the span that contains `now` ends; undefined outside the hours. On the day of a change of the clock the end may
 * be an hour off until it is asked for again.
 */
export function openUntil({ from, to, days = DAYS, timeZone }: Hours, now: Date): Date | undefined {
  const { day, minute } = localTime(now, timeZone);
  const start = minutesOf(from);
  const length = (minutesOf(to) - start + DAY) % DAY || DAY;
  // The span may have begun yesterday.
  for (const ago of [0, 1]) {
    const since = minute + ago * DAY - start;
    const began = DAYS[(day - ago + DAYS.length) % DAYS.length]!;
    if (since < 0 || since >= length || !days.includes(began)) continue;
    const minuteStart = Math.floor(now.getTime() / MINUTE_MS) * MINUTE_MS;
    return new Date(minuteStart + (length - since) * MINUTE_MS);
  }
  return undefined;
}

function localTime(now: Date, timeZone: string | undefined): { day: number; minute: number } {
  const parts = new Intl.DateTimeFormat('en-GB', {
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(timeZone !== undefined && { timeZone }),
  }).formatToParts(now);
  const part = (type: string): string => parts.find((one) => one.type === type)!.value;
  return {
    day: DAYS.indexOf(part('weekday') as (typeof DAYS)[number]),
    minute: minutesOf(`${part('hour')}:${part('minute')}`),
  };
}

function minutesOf(time: string): number {
  const [hours, minutes] = time.split(':').map(Number);
  return hours! * 60 + minutes!;
}
