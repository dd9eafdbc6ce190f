/**
 * States of a job: those of UPS (DICOM PS3.4 CC), with FAILED separate from CANCELED, because people want to know which
 * it was.
 */
export const JOB_STATES = ['SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED', 'FAILED'] as const;
export type JobState = (typeof JOB_STATES)[number];

const FINAL: readonly JobState[] = ['COMPLETED', 'CANCELED', 'FAILED'];

/** Whether a job in this state will never change again. */
export function isFinal(state: JobState): boolean {
  return FINAL.includes(state);
}
