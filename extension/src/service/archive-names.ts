/** How requests name the archive of a slide. */
import type { ArchiveNames } from '../../../core/src/contract/archive.ts';
import type { SlideSeries } from '../state.ts';

/** Of a request that reads the slide. */
export function sourceOf({ archive }: Pick<SlideSeries, 'archive'>): Pick<ArchiveNames, 'source'> {
  return archive ? { source: archive.name } : {};
}

/** Of a job: its result is stored beside the slide where it may be, otherwise in the default archive. */
export function archivesOf(series: Pick<SlideSeries, 'archive'>): ArchiveNames {
  const { archive } = series;
  return { ...sourceOf(series), ...(archive && !archive.isReadOnly && { destination: archive.name }) };
}

export function isSameSlide(a: Slide | null, b: Slide | null): boolean {
  return a?.seriesInstanceUid === b?.seriesInstanceUid && a?.archive?.name === b?.archive?.name;
}

type Slide = Pick<SlideSeries, 'seriesInstanceUid' | 'archive'>;
