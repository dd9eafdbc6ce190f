/**
 * The tables of version 0.9. They had no schema version, and neither had those of the versions before it: every statement
 * is idempotent, so that this step also completes the tables of any of them.
 */
export const TABLES_OF_0_9 = `
CREATE TABLE IF NOT EXISTS stain_normalization.secret (name text PRIMARY KEY, value text NOT NULL);
-- was_stored: for series that were found in the archive; job records hold what jobs stored. request: for a series whose
-- UIDs were published before it was made. refusal: why it can never be made.
CREATE TABLE IF NOT EXISTS stain_normalization.derivation (
  series_uuid uuid PRIMARY KEY,
  lineage text NOT NULL,
  content text NOT NULL,
  revision integer NOT NULL,
  supersedes text,
  created_at timestamptz NOT NULL,
  facts jsonb,
  was_stored boolean NOT NULL DEFAULT false,
  given_up boolean NOT NULL DEFAULT false,
  UNIQUE (lineage, revision)
);
ALTER TABLE stain_normalization.derivation
  ADD COLUMN IF NOT EXISTS series_number integer,
  ADD COLUMN IF NOT EXISTS request jsonb,
  ADD COLUMN IF NOT EXISTS refusal jsonb;
CREATE TABLE IF NOT EXISTS stain_normalization.series_number (study_uid text PRIMARY KEY, last integer NOT NULL);
CREATE TABLE IF NOT EXISTS stain_normalization.job (
  sequence bigserial PRIMARY KEY,
  id uuid NOT NULL UNIQUE,
  key text NOT NULL,
  series text NOT NULL,
  request jsonb NOT NULL,
  state text NOT NULL DEFAULT 'SCHEDULED',
  progress jsonb,
  result jsonb,
  error jsonb,
  cancel_requested boolean NOT NULL DEFAULT false,
  runs integer NOT NULL DEFAULT 0,
  revision integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  ended_at timestamptz
);
ALTER TABLE stain_normalization.job
  ADD COLUMN IF NOT EXISTS requested_by text NOT NULL DEFAULT 'local',
  ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS batch uuid,
  ADD COLUMN IF NOT EXISTS series_uuid uuid,
  ADD COLUMN IF NOT EXISTS series_created_at timestamptz,
  ADD COLUMN IF NOT EXISTS workitem_uid text,
  ADD COLUMN IF NOT EXISTS waiting jsonb,
  ADD COLUMN IF NOT EXISTS stored jsonb,
  ADD COLUMN IF NOT EXISTS waiting_since timestamptz,
  ADD COLUMN IF NOT EXISTS unexplained integer NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX IF NOT EXISTS job_unfinished_key ON stain_normalization.job (key) WHERE state IN ('SCHEDULED', 'IN PROGRESS');
CREATE INDEX IF NOT EXISTS job_series_uuid ON stain_normalization.job (series_uuid);
CREATE INDEX IF NOT EXISTS job_series ON stain_normalization.job (series);
CREATE INDEX IF NOT EXISTS job_key ON stain_normalization.job (key, sequence);
CREATE INDEX IF NOT EXISTS job_state ON stain_normalization.job (state);
DROP INDEX IF EXISTS stain_normalization.job_workitem;
CREATE UNIQUE INDEX IF NOT EXISTS job_workitem_of_user ON stain_normalization.job (workitem_uid, requested_by);
CREATE INDEX IF NOT EXISTS job_batch ON stain_normalization.job (batch);
CREATE INDEX IF NOT EXISTS job_turn ON stain_normalization.job (requested_by, priority);
CREATE INDEX IF NOT EXISTS job_last_turn ON stain_normalization.job (priority) WHERE runs > 0;
-- next_try: while a line is being tried, later than the end of that attempt. After a crash the line is retried then.
CREATE TABLE IF NOT EXISTS stain_normalization.batch (
  id uuid PRIMARY KEY,
  requested_by text NOT NULL,
  request jsonb NOT NULL,
  cancelled boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS stain_normalization.batch_series (
  batch uuid NOT NULL REFERENCES stain_normalization.batch,
  position integer NOT NULL,
  study text NOT NULL,
  series text NOT NULL,
  job uuid,
  refusal jsonb
);
ALTER TABLE stain_normalization.batch ADD COLUMN IF NOT EXISTS served_at timestamptz NOT NULL DEFAULT 'epoch';
ALTER TABLE stain_normalization.batch_series
  ADD COLUMN IF NOT EXISTS next_try timestamptz NOT NULL DEFAULT 'epoch',
  ADD COLUMN IF NOT EXISTS attempts integer NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS waiting jsonb,
  ADD COLUMN IF NOT EXISTS waiting_since timestamptz,
  ADD COLUMN IF NOT EXISTS seen text,
  ADD COLUMN IF NOT EXISTS part integer NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS slide text;
CREATE UNIQUE INDEX IF NOT EXISTS batch_series_line ON stain_normalization.batch_series (batch, position, part);
-- Of versions that knew one slide a series.
ALTER TABLE stain_normalization.batch_series DROP CONSTRAINT IF EXISTS batch_series_pkey;
CREATE INDEX IF NOT EXISTS batch_served ON stain_normalization.batch (requested_by, served_at);
CREATE INDEX IF NOT EXISTS batch_series_next ON stain_normalization.batch_series (batch, next_try, position) WHERE job IS NULL AND refusal IS NULL;
CREATE TABLE IF NOT EXISTS stain_normalization.template (
  id text NOT NULL,
  version integer NOT NULL,
  sha256 text NOT NULL,
  kind text NOT NULL,
  content text NOT NULL,
  name text NOT NULL,
  description text NOT NULL,
  licence text NOT NULL,
  origin text NOT NULL,
  made_at text NOT NULL,
  made_by text NOT NULL,
  thumbnail text NOT NULL,
  owner text,
  shipped boolean NOT NULL DEFAULT false,
  source jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz,
  PRIMARY KEY (id, version)
);
CREATE UNIQUE INDEX IF NOT EXISTS template_current ON stain_normalization.template (id) WHERE removed_at IS NULL AND NOT shipped;
CREATE UNIQUE INDEX IF NOT EXISTS template_shipped ON stain_normalization.template (id, sha256) WHERE shipped;
CREATE INDEX IF NOT EXISTS template_owner ON stain_normalization.template (owner);
CREATE INDEX IF NOT EXISTS job_template ON stain_normalization.job ((request->>'templateSha256'));
CREATE TABLE IF NOT EXISTS stain_normalization.audit_anchor (
  trail uuid NOT NULL,
  sequence bigint NOT NULL,
  digest text NOT NULL,
  observer text NOT NULL,
  recorded_at timestamptz NOT NULL,
  PRIMARY KEY (trail, sequence)
);`;
