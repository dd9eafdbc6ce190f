/** Date and time of processing, in the time zone of the source's other dates (PS3.3 C.12.1.1.8). */
import { StainError } from '../../../core/src/errors.ts';

export interface LocalTime {
  /** DA: YYYYMMDD. */
  readonly date: string;
  /** TM: HHMMSS. */
  readonly time: string;
}

/**
 * @param createdAt ISO 8601 with UTC offset
 * @param timezone Timezone Offset From UTC (0008,0201) of the source, such as "+0100"; if undefined, the offset of
 * `createdAt` applies
 */
export function processingTime(createdAt: string, timezone: string | undefined): LocalTime {
  const instant = Date.parse(createdAt);
  const own = /(Z|[+-]\d\d:?\d\d)$/.exec(createdAt)?.[1];
  if (Number.isNaN(instant) || own === undefined)
    throw new StainError('INTERNAL', `"${createdAt}" is not an ISO 8601 time with UTC offset.`);
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
