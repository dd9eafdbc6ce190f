/** An uncaught error in a real process: Node's own output would name the study. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repository } from '../support/peers.ts';

const UID = '1.2.840.113619.2.5.17';

async function crash(how: string): Promise<{ code: number; output: string }> {
  const script = `
    import { createLogger } from ${JSON.stringify(join(repository, 'server/src/http/log.ts'))};
    import { reportCrashes } from ${JSON.stringify(join(repository, 'server/src/wiring/report-crashes.ts'))};
    reportCrashes(createLogger({ level: 'info' }));
    const fault = new Error('no answer of http://archive.example/studies/${UID}', { cause: new Error('${UID}') });
    ${how}
    setTimeout(() => {}, 60_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk;
    });
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

it.each([
  ['thrown', 'setImmediate(() => { throw fault; });'],
  ['a rejection that nobody waits for', 'void Promise.reject(fault);'],
])(
  'attack: a crash prints UIDs past the log. %s: logged without them, and the process ends',
  async (_what, how) => {
    const { code, output } = await crash(how);
    expect(code).toBe(1);
    expect(output).toContain('uncaught error');
    expect(output).toContain('http://archive.example/[redacted]');
    expect(output).not.toContain('113619');
  },
);
