/** Finds the series if the user named none: the only slide there is, or a list to choose from. */
import { StainError } from '../../../core/src/errors.ts';
import { isListedAsOurs, LISTED_EQUIPMENT } from '../derived/equipment.ts';
import { tagOf } from '../dicom/dictionary.ts';
import { textOf } from '../dicom/json-model.ts';
import type { SlideReference } from '../pipeline/series-reference.ts';
import type { ArchiveLocation } from '../wiring/archive-location.ts';
import { terminalName } from './terminal-text.ts';

export async function chooseSeries(
  source: Pick<ArchiveLocation, 'client' | 'fileOf'>,
  wanted: { study?: string | undefined; series?: string | undefined; slide?: string | undefined },
  signal: AbortSignal,
): Promise<SlideReference> {
  const { slide } = wanted;
  if (wanted.study && wanted.series)
    return { studyInstanceUid: wanted.study, seriesInstanceUid: wanted.series, slide };
  const found = await source.client.searchSeries(
    {
      Modality: 'SM',
      includefield: LISTED_EQUIPMENT.map(tagOf),
      ...(wanted.study ? { StudyInstanceUID: wanted.study } : {}),
      ...(wanted.series ? { SeriesInstanceUID: wanted.series } : {}),
    },
    signal,
    { onLeftOut: sayLeftOut },
  );
  // Where results are stored beside their slides, the slide is meant.
  const slides = found.filter((json) => !isListedAsOurs(json));
  const choices = (slides.length > 0 ? slides : found).map((json) => {
    const series = {
      studyInstanceUid: textOf(json, '0020000D') ?? wanted.study ?? '',
      seriesInstanceUid: textOf(json, '0020000E') ?? '',
    };
    return { ...series, description: textOf(json, '0008103E') ?? '', file: source.fileOf?.(series) };
  });
  const [first, ...others] = choices;
  if (first && others.length === 0) {
    const { studyInstanceUid, seriesInstanceUid } = first;
    return { studyInstanceUid, seriesInstanceUid, slide };
  }
  if (choices.length === 0)
    throw new StainError('SERIES_NOT_FOUND', 'The source has no whole-slide series (modality SM).');
  const list = choices.map(
    ({ file, studyInstanceUid, seriesInstanceUid, description }) =>
      `  --study ${studyInstanceUid} --series ${seriesInstanceUid}  ${[file, description].flatMap((text) => (text ? [terminalName(text)] : [])).join('  ')}`,
  );
  throw new StainError(
    'REQUEST_INVALID',
    `The source has ${choices.length} whole-slide series. Choose one:\n${list.join('\n')}`,
    { data: { series: choices } },
  );
}

/** Printed for the user at the terminal. */
export function sayLeftOut(count: number): void {
  process.stderr.write(`${count} series of the source have no valid UID and were skipped\n`);
}
