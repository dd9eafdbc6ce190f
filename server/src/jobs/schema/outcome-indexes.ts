/** For what is shown of slides that are done: how many there were lately, and which of them a person should look at. */
export const OUTCOME_INDEXES = `
CREATE INDEX job_done ON stain_normalization.job (ended_at) WHERE state IN ('COMPLETED', 'FAILED');
CREATE INDEX job_to_look_at ON stain_normalization.job (ended_at)
  WHERE state = 'FAILED' OR (state = 'COMPLETED' AND result->'outOfDistribution'->>'verdict' IN ('unsure', 'other'));
CREATE INDEX batch_series_refused ON stain_normalization.batch_series (next_try) WHERE refusal->>'state' = 'REFUSED';`;
