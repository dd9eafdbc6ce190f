/**
 * Of rules. A rule is a batch that never ends: `rule` is its name, `fits` says that it only fits, `rank` is its priority,
 * and it is served until `served_until`. Its series are lines of the batch: `instances` is the number of instances of a
 * series when it was taken up, -1 if the archive does not tell.
 *
 * `rule_seen` has every series that was seen, by Study and Series Instance UID, in the order of `sequence`, because
 * clocks are set back; those up to `seen_after` are not new to a rule, nor are those that were in the archive before the
 * first rule (`is_old`).
 * `rule_watch` has one row. `surveyed_from`: everything since that Study Date is in `rule_seen`.
 */
export const RULE_TABLES = `
ALTER TABLE stain_normalization.batch
  ADD COLUMN rule text UNIQUE,
  ADD COLUMN fits boolean NOT NULL DEFAULT false,
  ADD COLUMN rank integer NOT NULL DEFAULT 0,
  ADD COLUMN served_until timestamptz NOT NULL DEFAULT 'infinity',
  ADD COLUMN seen_after bigint NOT NULL DEFAULT 0;
ALTER TABLE stain_normalization.batch_series
  ADD COLUMN fitted_at timestamptz,
  ADD COLUMN instances integer,
  ADD COLUMN added_at timestamptz;
CREATE INDEX batch_series_open ON stain_normalization.batch_series (batch, next_try, position)
  WHERE job IS NULL AND refusal IS NULL AND fitted_at IS NULL;
CREATE UNIQUE INDEX batch_series_of_rule ON stain_normalization.batch_series (batch, study, series)
  WHERE instances IS NOT NULL AND part = 0;
ALTER TABLE stain_normalization.job ADD COLUMN rule text;
CREATE INDEX job_rule ON stain_normalization.job (state) WHERE rule IS NOT NULL;
CREATE TABLE stain_normalization.rule_watch (
  id integer PRIMARY KEY CHECK (id = 1),
  holder uuid,
  held_until timestamptz NOT NULL DEFAULT 'epoch',
  started_at timestamptz NOT NULL DEFAULT 'epoch',
  swept_at timestamptz,
  surveyed_from text,
  slice integer NOT NULL DEFAULT 0,
  changes_after bigint,
  fault jsonb,
  rule_faults jsonb NOT NULL DEFAULT '{}',
  unread integer NOT NULL DEFAULT 0
);
INSERT INTO stain_normalization.rule_watch (id) VALUES (1);
CREATE TABLE stain_normalization.rule_seen (
  series text PRIMARY KEY,
  sequence bigserial NOT NULL,
  is_old boolean NOT NULL,
  header jsonb
);
CREATE INDEX rule_seen_sequence ON stain_normalization.rule_seen (sequence);
CREATE TABLE stain_normalization.rule_announced (
  study text NOT NULL,
  series text NOT NULL,
  announced_at timestamptz NOT NULL,
  PRIMARY KEY (study, series)
)`;
