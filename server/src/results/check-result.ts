/**
 * Whether a stored result still belongs to the patient, accession and study of its slide. Both are compared by the
 * header of one instance: archives list attributes of patient and study once, whatever each instance says.
 */
import { toStainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { type DicomJson, numberOf, textOf } from '../dicom/json-model.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { orNone } from '../dicomweb/no-match.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';

/** Copied byte for byte into a result. */
const COMPARED = [
  ...['PatientID', 'IssuerOfPatientID', 'PatientName', 'PatientBirthDate', 'PatientSex'],
  ...['StudyInstanceUID', 'StudyID', 'StudyDate', 'AccessionNumber', 'StudyDescription'],
  ...['ReferringPhysicianName', 'ContainerIdentifier'],
] as const;

export interface Check {
  readonly state: 'CURRENT' | 'DIFFERS' | 'SOURCE GONE' | 'GONE';
  /** Keywords of the attributes that differ; never their values. */
  readonly differs: readonly string[];
  /** Where both are now: an archive may have moved them to another study. */
  readonly series: SeriesReference;
  readonly source: SeriesReference;
}

/**
 * At most two searches and two headers, unless one of the two has moved.
 * @param archives of the slide, and of the result
 */
export async function checkResult(
  known: { readonly series: SeriesReference; readonly source: SeriesReference },
  archives: { readonly source: DicomWebClient; readonly destination: DicomWebClient },
  signal: AbortSignal,
): Promise<Check> {
  const result = await locate(known.series, archives.destination, signal);
  if (!result) return { ...known, state: 'GONE', differs: [] };
  // A series may hold several slides.
  const image = sourceImageOf(result.header);
  const slide =
    (await locate(known.source, archives.source, signal, image)) ??
    (await locateImage(image, archives.source, signal));
  const { series } = result;
  if (!slide) return { series, source: known.source, state: 'SOURCE GONE', differs: [] };
  const differs = differences(slide.header, result.header);
  return { series, source: slide.series, state: differs.length > 0 ? 'DIFFERS' : 'CURRENT', differs };
}

function differences(one: DataSet, other: DataSet): string[] {
  const values = (header: DataSet, keyword: string): string => header.strings(keyword).join('\\');
  return COMPARED.filter((keyword) => values(one, keyword) !== values(other, keyword));
}

export interface Located {
  readonly series: SeriesReference;
  readonly header: DataSet;
}

/** In its study, or else in the one that has it now. @param image as in `headerOf` */
async function locate(
  known: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
  image?: string,
): Promise<Located | undefined> {
  const there = await headerOf(known, archive, signal, image);
  if (there) return there;
  const { seriesInstanceUid } = known;
  const [moved] = await inAnyStudy(() =>
    archive.searchSeries({ SeriesInstanceUID: seriesInstanceUid }, signal),
  );
  const studyInstanceUid = moved && textOf(moved, '0020000D');
  return studyInstanceUid === undefined
    ? undefined
    : headerOf({ studyInstanceUid, seriesInstanceUid }, archive, signal, image);
}

/** An archive that cannot search all studies finds nothing there. */
async function inAnyStudy(search: () => Promise<DicomJson[]>): Promise<DicomJson[]> {
  try {
    return (await orNone(search)) ?? [];
  } catch (error) {
    if (toStainError(error).code === 'ARCHIVE_LACKING') return [];
    throw error;
  }
}

/**
 * The header of one instance of a series; undefined if the archive has no such series.
 * @param image SOP Instance UID of the one that is wanted; if undefined or gone, the smallest
 */
export async function headerOf(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
  image?: string,
): Promise<Located | undefined> {
  const parameters = {
    StudyInstanceUID: studyInstanceUid,
    SeriesInstanceUID: seriesInstanceUid,
    includefield: 'NumberOfFrames',
  };
  const found = (await orNone(() => archive.searchInstances(parameters, signal))) ?? [];
  const uidOf = (json: DicomJson): string | undefined => textOf(json, '00080018');
  const [smallest] = found
    .filter((json) => uidOf(json) !== undefined)
    .toSorted((a, b) => (numberOf(a, '00280008') ?? 1) - (numberOf(b, '00280008') ?? 1));
  const first = found.find((json) => image !== undefined && uidOf(json) === image) ?? smallest;
  if (!first) return undefined;
  const { dataSet: header } = await archive.retrieveHeader(
    studyInstanceUid,
    seriesInstanceUid,
    uidOf(first)!,
    signal,
  );
  return { series: { studyInstanceUid, seriesInstanceUid }, header };
}

/** An image of the slide may be in another series now, under its own UID. */
async function locateImage(
  sopInstanceUid: string | undefined,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<Located | undefined> {
  if (sopInstanceUid === undefined) return undefined;
  const [found] = await inAnyStudy(() => archive.searchInstances({ SOPInstanceUID: sopInstanceUid }, signal));
  const studyInstanceUid = found && textOf(found, '0020000D');
  const seriesInstanceUid = found && textOf(found, '0020000E');
  return studyInstanceUid === undefined || seriesInstanceUid === undefined
    ? undefined
    : headerOf({ studyInstanceUid, seriesInstanceUid }, archive, signal, sopInstanceUid);
}

function sourceImageOf(result: DataSet): string | undefined {
  return result.items('SourceImageSequence')[0]?.string('ReferencedSOPInstanceUID');
}
