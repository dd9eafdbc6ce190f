/** Date and time of processing, in the time zone that the source's other dates are in (PS3.3 C.12.1.1.8). */
import { StainError } from '../errors.ts';

export interface LocalTime {
  /** DA: YYYYMMDD. */
  readonly date: string;
  /** TM: HHMMSS. */
  readonly time: string;
}

/**
 * @param createdAt ISO 8601 with UTC offset
 * @param timezone Timezone Offset From UTC (0008,0201) of the source, as in "+0100"; without one the offset of
 *   `createdAt` itself holds
 */
export function processingTime(createdAt: string, timezone: string | undefined): LocalTime {
  const instant = Date.parse(createdAt);
  const own = /(Z|[+-]\d\d:?\d\d)$/.exec(createdAt)?.[1];
  if (Number.isNaN(instant) || own === undefined)
    throw new StainError('INTERNAL', `"${createdAt}" is no ISO 8601 time with UTC offset.`);
  const local = new Date(
    instant + (offsetMinutes(timezone) ?? offsetMinutes(own) ?? 0) * 60_000,
  ).toISOString();
  return { date: local.slice(0, 10).replaceAll('-', ''), time: local.slice(11, 19).replaceAll(':', '') };
}

function offsetMinutes(text: string | undefined): number | undefined {
  const match = /^([+-])(\d\d):?(\d\d)$/.exec(text ?? '');
  if (!match) return undefined;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  return match[1] === '-' ? -minutes : minutes;
}
