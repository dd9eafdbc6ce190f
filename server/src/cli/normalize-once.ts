/**
 * One normalisation without a service: the same request makes the same series as a service would. Existing revisions
 * are found in the destination, because there is no database.
 */

import type { NormalizationRequest, NormalizationResult } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { noteOf, noteText } from '../../../core/src/notes.ts';
import { isRepeatable, recordsOf, revisionOf } from '../pipeline/derivations.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import {
  derivedSeriesOf,
  inspectRequest,
  type NormalizationOptions,
  normalizeSeries,
} from '../pipeline/normalize-series.ts';
import { pinned, requireSettled, type SeriesIdentity, seriesContent } from '../pipeline/series-identity.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import { isSeriesStored } from '../pipeline/store-series.ts';
import { findStored } from '../pipeline/stored-derivations.ts';
import { removeIdleJobSpool } from '../spool/spool.ts';

/** A series that the destination already had. */
export interface Existing extends SeriesReference {
  readonly existing: true;
  readonly sourceSeriesInstanceUid: string;
  /** As in `NormalizationResult`. */
  readonly sourceSlide?: string | undefined;
}

export type Normalized = NormalizationResult | Existing;

export function isExisting(normalized: Normalized): normalized is Existing {
  return 'existing' in normalized;
}

export interface NormalizeOnceOptions extends NormalizationOptions {
  /** As in `JobService.create`. */
  readonly expectedSource?: string;
}

/**
 * @throws ALREADY_NORMALIZED for a result of this product, SERIES_ARRIVING if the slide has other instances than
 * expected, SERIES_IN_PROGRESS, and whatever `inspectRequest` and `normalizeSeries` throw
 */
export async function normalizeOnce(
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
  options: NormalizeOnceOptions,
): Promise<Normalized> {
  const { signal, expectedSource } = options;
  const { slide, isResult, lacksBase, ...fingerprint } = await inspectRequest(request, environment, signal);
  if (isResult) throw new StainError('ALREADY_NORMALIZED', 'The series was made by this product.');
  const { slideUid } = fingerprint;
  requireSettled(fingerprint, expectedSource);
  const content = seriesContent(request, fingerprint);
  const { destination } = environment;
  const found = await findStored(content, request.studyInstanceUid, destination, signal);
  const { executionProvider } = await environment.network(request.model);
  const existing = async (identity: SeriesIdentity): Promise<Existing | undefined> => {
    const series = derivedSeriesOf(slide, identity);
    if (!(await isSeriesStored(series, destination, signal))) return undefined;
    const { studyInstanceUid, seriesInstanceUid } = series;
    const { seriesInstanceUid: sourceSeriesInstanceUid } = request;
    return {
      existing: true,
      studyInstanceUid,
      seriesInstanceUid,
      sourceSeriesInstanceUid,
      sourceSlide: slideUid,
    };
  };
  if (found?.content === content.content && !found.isOver) {
    const there = await existing(found.identity);
    if (there) return there;
  }
  const identity = await revisionOf(content, {
    // A partial series is completed if this process would make the same bytes.
    newest: async () =>
      found && {
        ...found,
        isOver: found.isOver || !found.facts || !isRepeatable(request, found.facts, executionProvider),
      },
    add: async () => true,
  });
  const facts = found?.identity.seriesUuid === identity.seriesUuid ? found.facts : undefined;
  try {
    const records = { ...environment, derivations: recordsOf(facts) };
    const result = await normalizeSeries(pinned(request, fingerprint), identity, records, {
      ...options,
      announced: slide,
      onlyIdle: true,
    });
    if (!lacksBase) return result;
    return { ...result, notes: [...result.notes, noteOf(noteText('FINEST_LEVEL_RESAMPLED'))] };
  } catch (error) {
    // Another command was about to end when this one began, and has stored the series meanwhile.
    const there = toStainError(error).code === 'STORE_REJECTED' ? await existing(identity) : undefined;
    if (there) return there;
    throw error;
  } finally {
    // If the user interrupted it, the next run resumes from here.
    if (!signal.aborted) await removeIdleJobSpool(environment.spool, identity.seriesUuid);
  }
}
