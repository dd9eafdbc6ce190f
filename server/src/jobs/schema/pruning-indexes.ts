/** For what is deleted once it is old (prune.ts). */
export const PRUNING_INDEXES = `
CREATE INDEX job_ended ON stain_normalization.job (ended_at) WHERE state IN ('FAILED', 'CANCELED');
CREATE INDEX batch_series_job ON stain_normalization.batch_series (job);`;
