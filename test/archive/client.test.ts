import { describeArchive } from '../support/archive-suite.ts';
import { serveArchive } from '../support/serve-archive.ts';

describeArchive('The embedded archive', () => serveArchive());
