/** From what and how the image was derived (PS3.3 C.7.6.16.2.6, C.7.6.1.1.3, C.12.1.1.1). */
import {
  LOSSY_COMPRESSION,
  SOURCE_IMAGE,
  SOURCE_SERIES,
  SPATIAL_RESAMPLING,
  STAIN_NORMALIZATION,
} from './codes.ts';
import { type Attributes, DataSet } from './dataset.ts';
import type { DerivationRecord } from './derivation-record.ts';
import type { ImageRole } from './image-type.ts';

export const WARNING = 'NOT FOR PRIMARY DIAGNOSIS. Research use only.';

const ENCODER = {
  jpeg: (quality: number) => `JPEG baseline 4:2:2, quality ${quality}`,
  htj2k: () => 'HTJ2K lossless',
  jpeg2000: () => 'JPEG 2000 lossless',
};

/** ST, at most 1024 characters. */
export function derivationDescription({
  model,
  template,
  colourPolicy,
  encoding,
  quality,
}: DerivationRecord): string {
  return [
    `Stain normalization (DCGMM): model ${model.name} ${model.version}, SHA-256 ${model.sha256}; template ${template.id}, SHA-256 ${template.sha256}.`,
    ascii(colourPolicy).slice(0, 500),
    `Encoded as ${ENCODER[encoding](quality)}.`,
    WARNING,
  ].join(' ');
}

/** LO, at most 64 characters: what was done, the template, the version, RUO (research use only). */
export function seriesDescription({ model, template }: DerivationRecord): string {
  const [before, after] = ['Stain normalized to ', ` (${model.version.slice(0, 12)}) RUO`];
  return before + template.id.slice(0, 64 - before.length - after.length) + after;
}

/** Item of the Derivation Image Sequence; its content is repeated at the top level of the data set. */
export function derivationImage(
  sources: readonly DataSet[],
  role: ImageRole,
  record: DerivationRecord,
): DataSet {
  const resampled = role === 'base' ? [] : [SPATIAL_RESAMPLING];
  const compressed = record.encoding === 'jpeg' ? [LOSSY_COMPRESSION] : [];
  return DataSet.of({
    DerivationDescription: derivationDescription(record),
    DerivationCodeSequence: [STAIN_NORMALIZATION, ...resampled, ...compressed],
    SourceImageSequence: sources.map((source) =>
      instanceReference(source).with({
        PurposeOfReferenceCodeSequence: [SOURCE_IMAGE],
        SpatialLocationsPreserved: 'YES',
      }),
    ),
  });
}

function instanceReference(source: DataSet): DataSet {
  return DataSet.of({
    ReferencedSOPClassUID: source.string('SOPClassUID') ?? '',
    ReferencedSOPInstanceUID: source.string('SOPInstanceUID') ?? '',
  });
}

/** References that must be found without reading functional groups, beside those the source has already. */
export function seriesReferences(sources: readonly DataSet[]): Attributes {
  const first = sources[0]!;
  const seriesUid = first.string('SeriesInstanceUID') ?? '';
  const listed = first.items('ReferencedSeriesSequence');
  const sameSeries = listed.find((item) => item.string('SeriesInstanceUID') === seriesUid);
  const ours = new Set(sources.map((source) => source.string('SOPInstanceUID')));
  const others = (sameSeries?.items('ReferencedInstanceSequence') ?? []).filter(
    (item) => !ours.has(item.string('ReferencedSOPInstanceUID')),
  );
  return {
    RelatedSeriesSequence: [
      ...first.items('RelatedSeriesSequence'),
      DataSet.of({
        StudyInstanceUID: first.string('StudyInstanceUID') ?? '',
        SeriesInstanceUID: seriesUid,
        PurposeOfReferenceCodeSequence: [SOURCE_SERIES],
      }),
    ],
    ReferencedSeriesSequence: [
      ...listed.filter((item) => item !== sameSeries),
      DataSet.of({
        SeriesInstanceUID: seriesUid,
        ReferencedInstanceSequence: [...others, ...sources.map(instanceReference)],
      }),
    ],
  };
}

/** Our text must be ASCII, which every character set of a source contains. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
