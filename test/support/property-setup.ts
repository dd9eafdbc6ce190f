/** Runs of those properties that name no number. */
import fc from 'fast-check';
import { runs } from './property-runs.ts';

fc.configureGlobal({ numRuns: runs(100) });
