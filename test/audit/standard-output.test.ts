/** The audit trail on the standard output of a process, whatever that is: a pipe, a file, or a socket as under systemd. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { repository } from '../support/peers.ts';

const WRITE = `
  import { AuditFile } from './server/src/audit/audit-file.ts';
  const file = await AuditFile.open('/dev/stdout', {
    onLost: () => {}, onFault: (error) => console.error(error), tell: () => ({}),
  });
  file.append({ event: 'first' });
  await file.reopen();
  file.append({ event: 'second' });
  await file.close();
`;

it.each([
  // Node gives its children sockets, a shell gives them pipes.
  ['a socket', ''],
  ['a pipe', '| cat'],
])('%s gets all events', async (_what, behind) => {
  const node = spawn('sh', ['-c', `"$0" --input-type=module -e "$1" ${behind}`, process.execPath, WRITE], {
    cwd: repository,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [written, complaints] = await Promise.all([text(node.stdout), text(node.stderr)]);
  expect(complaints).toBe('');
  expect(
    written
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).event.event),
  ).toEqual(['first', 'second']);
});
