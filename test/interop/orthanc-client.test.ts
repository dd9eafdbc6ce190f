import { describeArchive } from '../support/archive-suite.ts';
import { orthancs, startOrthanc } from '../support/orthanc.ts';

for (const orthanc of orthancs)
  describeArchive(orthanc.name, () => startOrthanc(orthanc), { skip: orthanc.missing !== undefined });
