/** Search results of the normalised archive (PS3.18 tables 10.6.3-3 to -5). */

import { outputSyntax } from '../../../../core/src/dicom/transfer-syntaxes.ts';
import { LEVEL_TAGS, type QueryLevel, TAG } from '../../archive/attributes.ts';
import { seriesDescription } from '../../derived/derivation.ts';
import { processingTime } from '../../derived/processing-time.ts';
import type { DicomJson, DicomJsonElement, DicomJsonValue } from '../../dicom/json-model.ts';
import { WHOLE_SLIDE } from '../../dicom/sop-class.ts';
import type { ListedSeries } from '../../normalized/catalogue.ts';

/** Attributes of the source series that also hold for the derived one. */
const KEPT_OF_SERIES = ['00180015', '00200060'];

const TOLD_OF_SERIES = [
  ...LEVEL_TAGS.studies,
  ...KEPT_OF_SERIES,
  ...['00080021', '00080031', TAG.Modality, TAG.ModalitiesInStudy, '0008103E'],
  ...[TAG.SeriesInstanceUID, TAG.SeriesNumber, TAG.NumberOfSeriesRelatedInstances],
];
const TOLD_OF_INSTANCES = [
  ...[TAG.SOPClassUID, TAG.SOPInstanceUID, '00083002', TAG.InstanceNumber],
  ...['00280008', '00280010', '00280011', '00280100', '00480006', '00480007'],
];
/** Attributes that the rows of each level can contain. Searching by any other has no effect. */
export const TOLD: Readonly<Record<QueryLevel, ReadonlySet<string>>> = {
  studies: new Set([...LEVEL_TAGS.studies, TAG.ModalitiesInStudy]),
  series: new Set(TOLD_OF_SERIES),
  instances: new Set([...TOLD_OF_SERIES, ...TOLD_OF_INSTANCES]),
};

/** Patient and study attributes as the archive returns them: anything else it may return belongs to its own series. */
export function studyRow(told: DicomJson, url: string): DicomJson {
  return {
    ...picked(told, LEVEL_TAGS.studies),
    [TAG.ModalitiesInStudy]: element('CS', 'SM'),
    [TAG.RetrieveURL]: element('UR', url),
  };
}

/** @param told the archive's attributes of the source series and its study */
export function seriesRow(listed: ListedSeries, told: DicomJson, url: string): DicomJson {
  const { identity, request, means, slide } = listed;
  const { date, time } = processingTime(identity.createdAt, slide.timezone);
  return {
    ...picked(told, [...LEVEL_TAGS.studies, ...KEPT_OF_SERIES]),
    '00080021': element('DA', date),
    '00080031': element('TM', time),
    [TAG.Modality]: element('CS', 'SM'),
    [TAG.ModalitiesInStudy]: element('CS', 'SM'),
    '0008103E': element(
      'LO',
      seriesDescription({ ...request, ...means, model: means.network.model, identity, slide: slide.name }),
    ),
    [TAG.RetrieveURL]: element('UR', url),
    [TAG.StudyInstanceUID]: element('UI', slide.studyInstanceUid),
    [TAG.SeriesInstanceUID]: element('UI', listed.seriesInstanceUid),
    [TAG.SeriesNumber]: element('IS', listed.seriesNumber),
    [TAG.NumberOfSeriesRelatedInstances]: element('IS', slide.images.length),
  };
}

/** @param image index among the images of the slide */
export function instanceRow(listed: ListedSeries, image: number, series: DicomJson, url: string): DicomJson {
  const { numberOfFrames, rows, columns, totalRows, totalColumns } = listed.slide.images[image]!;
  return {
    ...series,
    [TAG.SOPClassUID]: element('UI', WHOLE_SLIDE),
    [TAG.SOPInstanceUID]: element('UI', listed.sopInstanceUids[image]!),
    '00083002': element('UI', outputSyntax(listed.request.encoding)),
    [TAG.RetrieveURL]: element('UR', url),
    [TAG.InstanceNumber]: element('IS', image + 1),
    '00280008': element('IS', numberOfFrames),
    '00280010': element('US', rows),
    '00280011': element('US', columns),
    '00280100': element('US', 8),
    '00480006': element('UL', totalColumns),
    '00480007': element('UL', totalRows),
  };
}

function picked(told: DicomJson, tags: readonly string[]): DicomJson {
  return Object.fromEntries(tags.flatMap((tag) => (told[tag] ? [[tag, told[tag]]] : [])));
}

function element(vr: string, value: DicomJsonValue): DicomJsonElement {
  return { vr, Value: [value] };
}
