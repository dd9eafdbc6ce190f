/**
 * Of rules for named archives: one row for each archive that is searched, as `rule_watch` is for the default one. Rows of
 * `rule_seen` name a series of such an archive by the name of the archive, a space, and what they have for the default one.
 */
export const ARCHIVE_RULE_TABLES = `
CREATE TABLE stain_normalization.rule_watch_of (
  archive text PRIMARY KEY,
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
)`;
