/** What the index keeps of every instance, and what a search returns at each level (PS3.18 tables 10.6.3-3 to -5). */
import * as dictionary from '../dicom/dictionary.ts';

export const TAG = {
  ImageType: '00080008',
  SOPClassUID: '00080016',
  SOPInstanceUID: '00080018',
  StudyDate: '00080020',
  StudyTime: '00080030',
  InstanceAvailability: '00080056',
  Modality: '00080060',
  ModalitiesInStudy: '00080061',
  SOPClassesInStudy: '00080062',
  RetrieveURL: '00081190',
  StudyInstanceUID: '0020000D',
  SeriesInstanceUID: '0020000E',
  SeriesNumber: '00200011',
  InstanceNumber: '00200013',
  Rows: '00280010',
  NumberOfStudyRelatedSeries: '00201206',
  NumberOfStudyRelatedInstances: '00201208',
  NumberOfSeriesRelatedInstances: '00201209',
} as const;

// Specific Character Set, study date, time, accession number, referring physician, timezone, description;
// patient's name, id, birth date, sex, age; study UID and id.
// biome-ignore format: a table
const STUDY_TAGS = [
  '00080005', '00080020', '00080030', '00080050', '00080090', '00080201', '00081030',
  '00100010', '00100020', '00100021', '00100030', '00100040', '00101010', '0020000D', '00200010',
];

// Series date and time, modality, description, body part, UID, number, laterality, performed procedure step.
// biome-ignore format: a table
const SERIES_TAGS = [
  '00080021', '00080031', '00080060', '0008103E', '00180015', '0020000E', '00200011', '00200060', '00400244', '00400245',
];

// Image type, SOP class and instance, content date and time, instance number, frames, rows, columns, bits,
// photometric interpretation, total pixel matrix, container.
// biome-ignore format: a table
const INSTANCE_TAGS = [
  '00080008', '00080016', '00080018', '00080023', '00080033', '00200013', '00200052', '00280004', '00280008',
  '00280010', '00280011', '00280100', '00480006', '00480007', '00400512',
];

export type QueryLevel = 'studies' | 'series' | 'instances';

export const LEVEL_TAGS: Readonly<Record<QueryLevel, readonly string[]>> = {
  studies: STUDY_TAGS,
  series: SERIES_TAGS,
  instances: INSTANCE_TAGS,
};

/** Everything that the index keeps in memory for an instance. */
export const INDEXED_TAGS: ReadonlySet<string> = new Set([...STUDY_TAGS, ...SERIES_TAGS, ...INSTANCE_TAGS]);

/** The tag for a keyword or hexadecimal tag, as used in queries; undefined for anything else. */
export function tagOf(name: string): string | undefined {
  try {
    return dictionary.tagOf(name);
  } catch {
    return undefined;
  }
}
