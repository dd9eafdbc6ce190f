import { describe, it } from 'vitest';
import { describeArchive } from '../support/archive-suite.ts';
import { orthancMissing, startOrthanc } from '../support/orthanc.ts';

if (orthancMissing) describe('Orthanc', () => it.skip(orthancMissing, () => {}));
else describeArchive('Orthanc', startOrthanc);
