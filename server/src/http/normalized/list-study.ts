/** The normalised series of a study whose sources the user may see in the archive. */
import { TAG } from '../../archive/attributes.ts';
import { type DicomJson, textOf } from '../../dicom/json-model.ts';
import type { ListedSeries } from '../../normalized/catalogue.ts';
import type { Asked } from './asked.ts';

/** Attributes requested for a study's series, beyond those that archives return by default. */
// biome-ignore format: a list
const OF_STUDY = [
  'StudyDate', 'StudyTime', 'AccessionNumber', 'ReferringPhysicianName', 'TimezoneOffsetFromUTC', 'StudyDescription', 'PatientName',
  'PatientID', 'PatientBirthDate', 'PatientSex', 'StudyID', 'BodyPartExamined', 'Laterality',
];

export interface Found {
  readonly listed: ListedSeries;
  /** The archive's attributes of the source. */
  readonly told: DicomJson;
}

/** Sorted by Series Number. @throws errors of the archive */
export async function listStudy(
  studyInstanceUid: string,
  { archive, search, template, principal, signal }: Asked,
): Promise<Found[]> {
  const parameters = { StudyInstanceUID: studyInstanceUid, Modality: 'SM', includefield: OF_STUDY };
  const rows = await search.series(principal, parameters, signal);
  const told = new Map(rows.map((row) => [textOf(row, TAG.SeriesInstanceUID)!, row]));
  const sources = [...told.keys()].map((seriesInstanceUid) => ({ studyInstanceUid, seriesInstanceUid }));
  const listed = await archive.catalogue.list(template, sources, signal);
  return listed
    .toSorted((a, b) => a.seriesNumber - b.seriesNumber)
    .map((one) => ({ listed: one, told: told.get(one.slide.seriesInstanceUid)! }));
}
