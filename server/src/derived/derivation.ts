/** From what, and how, the image was derived (PS3.3 C.7.6.16.2.6, C.7.6.1.1.3, C.12.1.1.1). */

import { TRANSFER_IN_WORDS } from '../../../core/src/stain/transfer-name.ts';
import { type Attributes, DataSet } from '../dicom/dataset.ts';
import {
  LOSSY_COMPRESSION,
  SOURCE_IMAGE,
  SOURCE_SERIES,
  SPATIAL_RESAMPLING,
  STAIN_NORMALIZATION,
  SUPERSEDED_SERIES,
} from './codes.ts';
import type { DerivationRecord } from './derivation-record.ts';

export const WARNING = 'NOT FOR PRIMARY DIAGNOSIS. Research use only.';

const ENCODER = {
  jpeg: (quality: number) => `JPEG baseline 4:2:2, quality ${quality}`,
  htj2k: () => 'HTJ2K lossless',
  jpeg2000: () => 'JPEG 2000 lossless',
};
/** The same, abbreviated. */
const SHORT_ENCODER = {
  jpeg: (quality: number) => `JPEG ${quality}`,
  htj2k: () => 'HTJ2K',
  jpeg2000: () => 'J2K',
};

const DESCRIBED = 'Normalized ';
const MAX_LO_LENGTH = 64;
/** Minimum number of characters kept of a template's name, and of a slide's. */
const MIN_TEMPLATE = 8;
const MIN_MODEL = 10;
const MIN_SLIDE = 4;
const MAX_SLIDE = 12;

/** ST, at most 1024 characters. */
export function derivationDescription({
  model,
  template,
  transfer,
  colourPolicy,
  encoding,
  quality,
  identity,
  override,
}: DerivationRecord): string {
  const supersedes = identity.supersedes ? `, replaces series ${identity.supersedes}` : '';
  return [
    `Stain normalization (DCGMM): model ${model.name} ${model.version}, SHA-256 ${model.sha256}; template ${template.id}, SHA-256 ${template.sha256}.`,
    `Transfer: ${TRANSFER_IN_WORDS[transfer]}.`,
    ...(override === undefined ? [] : [ascii(override).slice(0, 250)]),
    ascii(colourPolicy).slice(0, override === undefined ? 300 : 150),
    `Encoded as ${ENCODER[encoding](quality)}.`,
    `Revision ${identity.revision}${supersedes}.`,
    WARNING,
  ].join(' ');
}

export type DescribedSeries = Pick<
  DerivationRecord,
  'transfer' | 'encoding' | 'quality' | 'slide' | 'identity'
> & {
  readonly model: Pick<DerivationRecord['model'], 'name' | 'version'>;
  readonly template: Pick<DerivationRecord['template'], 'id'>;
};

/**
 * LO, at most 64 characters: from it alone, people tell the results of a study apart. What was done, template, model
 * with version, transfer, encoding, the slide if the series has several, the revision after the first, RUO (research
 * use only). A name that is too long keeps its beginning and its end.
 */
export function seriesDescription({
  model,
  template,
  transfer,
  encoding,
  quality,
  slide,
  identity,
}: DescribedSeries): string {
  const revision = identity.revision > 1 ? `, rev ${identity.revision}` : '';
  const how = `${transfer}, ${SHORT_ENCODER[encoding](quality)}`;
  const roomFor = (rest: string): number => MAX_LO_LENGTH - DESCRIBED.length - rest.length;
  const end = `${revision}) RUO`;
  // Of the three names that may be too long, the model's is the most familiar: shorten it first.
  const minNames = Math.min(template.id.length, MIN_TEMPLATE) + (slide ? MIN_SLIDE : 0);
  const ofModel = Math.max(MIN_MODEL, roomFor(` (, ${how}${slide ? ', ' : ''}${end}`) - minNames);
  const named = `${model.name.slice(0, 12)} ${model.version.slice(0, 8)}`;
  const made = `${shortened(named, ofModel)}, ${how}`;
  // Leave enough of the template's name to tell two templates apart, if there is room.
  const both = roomFor(` (${made}, ${end}`);
  const ofSlide = Math.max(MIN_SLIDE, both - Math.min(template.id.length, MIN_TEMPLATE));
  const room = Math.min(MAX_SLIDE, ofSlide, both - 1);
  const shown = slide && `, ${shortened(plain(slide), room)}`;
  const after = ` (${made}${shown ?? ''}${end}`;
  return DESCRIBED + shortened(template.id, roomFor(after)) + after;
}

/** Removes characters that would end a name early when the description is parsed. */
function plain(name: string): string {
  return name.replace(/[^\w.-]/g, '_');
}

function shortened(name: string, length: number): string {
  if (name.length <= length) return name;
  const end = Math.floor((length - 1) / 2);
  return `${name.slice(0, length - 1 - end)}~${name.slice(name.length - end)}`;
}

/** Whether a Series Description may be one of ours. An archive that returns none leaves the question open. */
export function isDescribedAsOurs(description: string | undefined): boolean {
  return description === undefined || description.startsWith(DESCRIBED);
}

/** Item of the Derivation Image Sequence; its content is repeated at the top level of the data set. */
export function derivationImage(
  sources: readonly DataSet[],
  isResampled: boolean,
  record: DerivationRecord,
): DataSet {
  const resampled = isResampled ? [SPATIAL_RESAMPLING] : [];
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

/** References that must be found without reading functional groups, in addition to those of the source. */
export function seriesReferences(
  first: DataSet,
  sources: readonly DataSet[],
  supersedes: string | undefined,
): Attributes {
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
      ...(supersedes === undefined ? [] : [relatedSeries(first, supersedes, SUPERSEDED_SERIES)]),
      // The source comes last, because viewers look for it there.
      relatedSeries(first, seriesUid, SOURCE_SERIES),
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

function relatedSeries(source: DataSet, seriesInstanceUid: string, purpose: DataSet): DataSet {
  return DataSet.of({
    StudyInstanceUID: source.string('StudyInstanceUID') ?? '',
    SeriesInstanceUID: seriesInstanceUid,
    PurposeOfReferenceCodeSequence: [purpose],
  });
}

/** Our text must be ASCII, which every character set of a source includes. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
