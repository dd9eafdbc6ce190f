import { describeArchive } from '../support/archive-suite.ts';
import { installedOrthanc, newerOrthanc, startOrthanc } from '../support/orthanc.ts';

for (const orthanc of [installedOrthanc, newerOrthanc])
  describeArchive(orthanc.name, () => startOrthanc(orthanc), { skip: orthanc.missing !== undefined });
