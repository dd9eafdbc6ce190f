/** The content of a derived instance apart from its revision: equal, to the bit, in two revisions of one series. */
import { createHash } from 'node:crypto';
import { fullRecordOf } from '../../server/src/derived/private-block.ts';
import type { DataSet } from '../../server/src/dicom/dataset.ts';
import type { Part10File } from '../../server/src/dicom/part10-file.ts';
import { toDicomJson } from '../../server/src/dicom/to-json.ts';

/** Attributes that are the same in all instances of a revision, and differ between revisions. */
const OF_THE_REVISION = [
  'SeriesInstanceUID',
  'PyramidUID',
  'InstanceCreationDate',
  'InstanceCreationTime',
  'SeriesDate',
  'SeriesTime',
  'ContentDate',
  'ContentTime',
  'SeriesNumber',
  'SeriesDescription',
] as const;
const [SERIES_UID, FULL_RECORD] = ['34011009', '3401100A'];

export interface DerivedContent {
  /** SOP Instance UID of the source image. */
  readonly source: string;
  /** Of its frames and of all attributes that do not depend on the revision. */
  readonly sha256: string;
  /** The attributes that depend on the revision: the same for all instances of a series. */
  readonly revision: string;
}

export async function derivedContent(file: Part10File): Promise<DerivedContent> {
  const { dataset } = file;
  const { identity, facts, ...record } = fullRecordOf(dataset) as {
    identity: unknown;
    facts: { seriesNumber: number };
  };
  const { seriesNumber, ...kept } = facts;
  const header = JSON.stringify(toDicomJson(withoutRevision(dataset)))
    .replace(/Revision \d+(, replaces series [\d.]*\d)?\./g, '')
    .replace(/-SN[0-9a-f]{4}\b/g, '-SN');
  const hash = createHash('sha256')
    .update(header)
    .update(JSON.stringify({ ...record, facts: kept }));
  hash.update(dataset.items('OpticalPathSequence')[0]!.bytes('ICCProfile')!);
  for (let frame = 0; frame < file.numberOfFrames; frame++) hash.update(await file.frame(frame));
  return {
    source: dataset.items('SourceImageSequence')[0]!.string('ReferencedSOPInstanceUID')!,
    sha256: hash.digest('hex'),
    revision: JSON.stringify([
      identity,
      seriesNumber,
      ...OF_THE_REVISION.map((name) => dataset.string(name)),
    ]),
  };
}

function withoutRevision(dataset: DataSet): DataSet {
  const related = dataset
    .items('RelatedSeriesSequence')
    .filter((item) => item.items('PurposeOfReferenceCodeSequence')[0]?.string('CodeValue') !== 'SUPERSEDED');
  return dataset
    .without('SOPInstanceUID', ...OF_THE_REVISION, SERIES_UID!, FULL_RECORD!)
    .with({ RelatedSeriesSequence: related });
}
