/** The metadata of a series, with words for an archive that does not send them. */
import { PluginError } from '../plugin-error.ts';
import type { SlideSeries } from '../state.ts';
import type { WadoClient } from './types.ts';

/** @throws PluginError SLIDE_LATE, SESSION_EXPIRED */
export async function retrieveMetadata(
  client: WadoClient,
  series: Pick<SlideSeries, 'studyInstanceUid' | 'seriesInstanceUid'>,
): Promise<object[]> {
  const { studyInstanceUid: studyInstanceUID, seriesInstanceUid: seriesInstanceUID } = series;
  try {
    return await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID });
  } catch (cause) {
    // Of the metadata that another client of ours passes on.
    if (cause instanceof PluginError) throw cause;
    // From dicomweb-client, with the status of the answer.
    const { status } = cause as { readonly status?: number };
    throw new PluginError(status === 401 ? 'SESSION_EXPIRED' : 'SLIDE_LATE', {}, cause);
  }
}
