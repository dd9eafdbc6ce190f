/** Which scanner made a slide, as its header says: acceptances and rules compare scanners by this alone. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { tagOf } from '../dicom/dictionary.ts';
import { type DicomJsonElement, valuesOf } from '../dicom/json-model.ts';

const text = z.string().max(200);

export const scanner = z
  .strictObject({
    manufacturer: text.nullable(),
    model: text.nullable(),
    serialNumber: text.nullable(),
    /** Told only where there is no serial number. */
    station: text.nullable(),
    /** In alphabetical order. */
    softwareVersions: z.array(text).max(50).readonly(),
  })
  .readonly();
export type Scanner = z.infer<typeof scanner>;

const TAGS = {
  manufacturer: tagOf('Manufacturer'),
  model: tagOf('ManufacturerModelName'),
  serialNumber: tagOf('DeviceSerialNumber'),
  softwareVersions: tagOf('SoftwareVersions'),
  station: tagOf('StationName'),
} as const;

/** What has to be read of a header for `scannerOf`. */
export const SCANNER_TAGS: readonly string[] = Object.values(TAGS);

/** @param header attributes by tag */
export function scannerOf(header: Readonly<Record<string, DicomJsonElement | null>>): Scanner {
  const values = (tag: string): string[] =>
    valuesOf(header[tag] ?? undefined)
      .filter((value) => typeof value === 'string' || typeof value === 'number')
      .map((value) => String(value).trim().slice(0, 200))
      .filter((value) => value !== '');
  const first = (tag: string): string | null => values(tag)[0] ?? null;
  const serialNumber = first(TAGS.serialNumber);
  return {
    manufacturer: first(TAGS.manufacturer),
    model: first(TAGS.model),
    serialNumber,
    station: serialNumber === null ? first(TAGS.station) : null,
    softwareVersions: values(TAGS.softwareVersions).sort().slice(0, 50),
  };
}

/** Equal for equal scanners with equal software. */
export function scannerKey({
  manufacturer,
  model,
  serialNumber,
  station,
  softwareVersions,
}: Scanner): string {
  const parts = [manufacturer, model, serialNumber, station, softwareVersions];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** Whether it is the same device, perhaps with other software. */
export function isSameDevice(a: Scanner, b: Scanner): boolean {
  return scannerKey({ ...a, softwareVersions: [] }) === scannerKey({ ...b, softwareVersions: [] });
}

export function scannerName({
  manufacturer,
  model,
  serialNumber,
  station,
  softwareVersions,
}: Scanner): string {
  const name = [manufacturer, model].filter((part) => part !== null).join(' ') || 'Unnamed scanner';
  const which =
    serialNumber !== null
      ? `serial number ${serialNumber}`
      : station !== null
        ? `station ${station}, no serial number`
        : 'no serial number, no station';
  const software = softwareVersions.length > 0 ? softwareVersions.join(', ') : 'not named';
  return `${name}, ${which}, software ${software}`;
}
