/** The quality report as CSV. */
import type { Outcome } from '../jobs/outcome-records.ts';
import { csvLine } from './csv.ts';
import type { Identifiers } from './identifiers.ts';
import { type PictureAddresses, picturesOf } from './outcome-pictures.ts';

const COLUMNS = [
  'look',
  'accessionNumber',
  'containerIdentifier',
  'studyInstanceUid',
  'seriesInstanceUid',
  'slide',
  'template',
  'state',
  'code',
  'message',
  'outOfDistribution',
  'outOfDistributionScore',
  'notes',
  'ciede2000Before',
  'ciede2000After',
  'derivedSeriesInstanceUid',
  'endedAt',
  'pictureBefore',
  'pictureAfter',
  'identifiersCode',
] as const;

export const QUALITY_HEADER = csvLine(COLUMNS);

/** @param root of the API, with scheme and host: a spreadsheet knows neither */
export function qualityLine(
  slide: Outcome,
  { accession, container, code }: Identifiers,
  root: string,
): string {
  const { outOfDistribution, colourDistance, notes } = slide;
  const pictures: PictureAddresses = picturesOf(slide, root);
  const cells: Record<(typeof COLUMNS)[number], string | number | null> = {
    look: slide.reason,
    accessionNumber: accession,
    containerIdentifier: container,
    studyInstanceUid: slide.studyInstanceUid,
    seriesInstanceUid: slide.seriesInstanceUid,
    slide: slide.slide,
    template: slide.template,
    state: slide.state,
    code: slide.code,
    message: slide.message,
    outOfDistribution: outOfDistribution?.verdict ?? null,
    outOfDistributionScore: outOfDistribution?.score ?? null,
    notes: notes.map(({ message }) => message).join(' '),
    ciede2000Before: rounded(colourDistance?.before),
    ciede2000After: rounded(colourDistance?.after),
    derivedSeriesInstanceUid: slide.derivedSeriesInstanceUid,
    endedAt: slide.at,
    pictureBefore: pictures.before,
    pictureAfter: pictures.after,
    identifiersCode: code,
  };
  return csvLine(COLUMNS.map((column) => cells[column]));
}

function rounded(distance: number | null | undefined): string | null {
  return distance === null || distance === undefined ? null : distance.toFixed(1);
}
