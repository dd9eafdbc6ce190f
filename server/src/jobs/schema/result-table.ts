/**
 * Results that jobs have stored, one row for each derived series: where it is in the archive, where its slide is, and
 * what became of it. `finding` is that of the last check, at `checked_at`; no check begins before `retry_at`, so that a
 * check that fails or dies is tried again later; `warned_at` says when the end of its retention was announced;
 * `remake`: it is to be made again, by the job `replacement` once that exists.
 */
export const RESULT_TABLE = `
CREATE TABLE stain_normalization.result (
  series_uuid uuid PRIMARY KEY,
  study text NOT NULL,
  source_study text NOT NULL,
  source text NOT NULL,
  request jsonb NOT NULL,
  requested_by text NOT NULL,
  stored_at timestamptz NOT NULL,
  checked_at timestamptz,
  retry_at timestamptz NOT NULL DEFAULT 'epoch',
  finding text NOT NULL DEFAULT 'CURRENT',
  differs jsonb NOT NULL DEFAULT '[]',
  warned_at timestamptz,
  rejected_at timestamptz,
  reason text,
  remake boolean NOT NULL DEFAULT false,
  replacement uuid
);
CREATE INDEX result_check ON stain_normalization.result (checked_at) WHERE rejected_at IS NULL;
CREATE INDEX result_stored ON stain_normalization.result (stored_at);
CREATE INDEX result_study ON stain_normalization.result (study);
CREATE INDEX result_source ON stain_normalization.result (source_study);
CREATE INDEX result_remake ON stain_normalization.result (series_uuid) WHERE remake`;
