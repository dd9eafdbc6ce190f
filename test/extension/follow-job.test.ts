/** Following a job over a connection that breaks, to a service that may be away. */
import { expect, test, vi } from 'vitest';
import { PluginError, ServiceError } from '../../extension/src/plugin-error.ts';
import { followJob } from '../../extension/src/service/follow-job.ts';
import type { ServiceClient } from '../../extension/src/service/service-client.ts';

const event = (state: string): Response =>
  new Response(`id: 1\ndata: ${JSON.stringify({ id: 'job', state })}\n\n`);
const refusal = (status: number): ServiceError =>
  new ServiceError(status, { code: 'A', message: '', remedy: '' });

/** Answers one after the other. @returns states of the job, and whether it was connected */
async function follow(...answers: (Response | Error)[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  const request = vi.fn(async () => {
    const answer = answers.shift()!;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  await followJob({ request } as unknown as ServiceClient, 'job', {
    signal: new AbortController().signal,
    onJob: ({ state }) => seen.push(state),
    onConnection: (isLive) => seen.push(isLive),
  });
  return seen;
}

test.each([
  ['the stream breaks', new TypeError('network error')],
  ['the service lacks its database', refusal(503)],
  ['there are too many streams', refusal(429)],
  ['a login has to be renewed', new PluginError('SLIDE_LATE')],
])('goes on after %s', async (_what, error) => {
  expect(await follow(event('IN PROGRESS'), error, event('COMPLETED'))).toEqual([
    true,
    'IN PROGRESS',
    false,
    false,
    true,
    'COMPLETED',
  ]);
});

test('ends with a refusal of the request', async () => {
  await expect(follow(refusal(404))).rejects.toMatchObject({ status: 404 });
});
