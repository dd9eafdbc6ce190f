/** A process that takes jobs and never finishes one, to be killed. Prints the id of each. Argument: the database. */
import { openJobs } from '../jobs/support.ts';

await openJobs({
  database: { directory: '', url: process.argv[2]! },
  heartbeatSeconds: 10,
  run: (_request, _identity, { job }) => {
    process.stdout.write(`${job}\n`);
    return new Promise(() => {});
  },
});
