/**
 * One normalisation without a service: the same request makes the same series as there. What there is of it already is found in
 * the destination; there is no database to tell.
 */
import { StainError } from '../errors.ts';
import { recordsOf, revisionOf } from '../normalization/derivations.ts';
import {
  derivedSeriesOf,
  inspectRequest,
  type NormalizationEnvironment,
  type NormalizationOptions,
  normalizeSeries,
} from '../normalization/normalize-series.ts';
import type { SeriesReference } from '../normalization/open-series.ts';
import { pinned, requireSettled, seriesContent } from '../normalization/series-identity.ts';
import { removeJobSpool } from '../normalization/spool.ts';
import { isSeriesStored } from '../normalization/store-series.ts';
import { findStored } from '../normalization/stored-derivations.ts';
import type { NormalizationRequest, NormalizationResult } from '../normalization/types.ts';

/** A series that the destination had already. */
export interface Existing extends SeriesReference {
  readonly existing: true;
  readonly sourceSeriesInstanceUid: string;
  /** As of `NormalizationResult`. */
  readonly sourceSlide?: string | undefined;
}

export type Normalized = NormalizationResult | Existing;

export function isExisting(normalized: Normalized): normalized is Existing {
  return 'existing' in normalized;
}

export interface NormalizeOnceOptions extends NormalizationOptions {
  /** As of `JobService.create`. */
  readonly expectedSource?: string;
}

/**
 * @throws ALREADY_NORMALIZED for a result of this product, SERIES_ARRIVING where the slide has other instances than expected,
 * and what `inspectRequest` and `normalizeSeries` throw
 */
export async function normalizeOnce(
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
  options: NormalizeOnceOptions,
): Promise<Normalized> {
  const { signal, expectedSource } = options;
  const { slide, isResult, ...fingerprint } = await inspectRequest(request, environment, signal);
  if (isResult) throw new StainError('ALREADY_NORMALIZED', 'The series is a result of this product.');
  const { slideUid } = fingerprint;
  requireSettled(fingerprint, expectedSource);
  const content = seriesContent(request, fingerprint);
  const { destination } = environment;
  const found = await findStored(content, request.studyInstanceUid, destination, signal);
  const { executionProvider } = await environment.network(request.model);
  if (found?.content === content.content && !found.isOver) {
    const series = derivedSeriesOf(slide, found.identity);
    const { studyInstanceUid, seriesInstanceUid } = series;
    const { seriesInstanceUid: sourceSeriesInstanceUid } = request;
    if (await isSeriesStored(series, destination, signal))
      return {
        existing: true,
        studyInstanceUid,
        seriesInstanceUid,
        sourceSeriesInstanceUid,
        sourceSlide: slideUid,
      };
  }
  const identity = await revisionOf(content, {
    // What is there in part is completed where this process would make the same bytes.
    newest: async () =>
      found && {
        ...found,
        isOver: found.isOver || found.facts?.executionProvider !== executionProvider,
      },
    add: async () => true,
  });
  const facts = found?.identity.seriesUuid === identity.seriesUuid ? found.facts : undefined;
  try {
    const records = { ...environment, derivations: recordsOf(facts) };
    return await normalizeSeries(pinned(request, fingerprint), identity, records, options);
  } finally {
    // What the user has broken off goes on from there the next time.
    if (!signal.aborted) await removeJobSpool(environment.spool, identity.seriesUuid);
  }
}
