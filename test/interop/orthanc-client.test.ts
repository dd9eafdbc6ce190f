import { describeArchive } from '../support/archive-suite.ts';
import { orthancMissing, startOrthanc } from '../support/orthanc.ts';

const note = orthancMissing ? ` (skipped: ${orthancMissing})` : '';
describeArchive(`Orthanc${note}`, startOrthanc, { skip: orthancMissing !== undefined });
