/** A fault that nobody caught, in a real process: what Node would print of it names the study. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repository } from '../support/peers.ts';

const UID = '1.2.840.113619.2.5.17';

async function crash(how: string): Promise<{ code: number; output: string }> {
  const script = `
    import { createLogger } from ${JSON.stringify(join(repository, 'server/src/app/log.ts'))};
    import { reportCrashes } from ${JSON.stringify(join(repository, 'server/src/cli/report-crashes.ts'))};
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
  'attack: a crash prints UIDs beside the log. %s: logged without them, and the process ends',
  async (_what, how) => {
    const { code, output } = await crash(how);
    expect(code).toBe(1);
    expect(output).toContain('a fault that nobody caught');
    expect(output).toContain('http://archive.example/[redacted]');
    expect(output).not.toContain('113619');
  },
);
