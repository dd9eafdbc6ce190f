import express from 'express';
import { expect, it } from 'vitest';
import { LOCAL } from '../../server/src/auth/principal.ts';
import { requireScope } from '../../server/src/http/authenticate.ts';
import { listen } from '../../server/src/http/listen.ts';
import { createLogger, requestLog } from '../../server/src/http/log.ts';
import { problemHandler } from '../../server/src/http/problem.ts';
import { limitRate } from '../../server/src/http/rate-limit.ts';

it('applies to each user, whatever others do', async () => {
  const log = createLogger({ level: 'silent' });
  const login = { isRequired: true, identify: async (id: string | undefined) => ({ ...LOCAL, id: id! }) };
  const app = express()
    .set('basePath', '')
    .use(requestLog(log))
    .use(requireScope(login, 'read'), limitRate(2), (_request, response) => void response.send('here'))
    .use(problemHandler(log));
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  const ask = (user: string) => fetch(server.url, { headers: { Authorization: user } });
  const answers = await Promise.all(Array.from({ length: 25 }, () => ask('alice')));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(5);
  expect(Number(refused[0]!.headers.get('Retry-After'))).toBeGreaterThan(0);
  expect(await refused[0]!.json()).toMatchObject({ code: 'RATE_LIMITED' });
  expect((await ask('bob')).status).toBe(200);
  await server.close();
});

it('counts addresses if there is no login', async () => {
  const app = express()
    .set('basePath', '')
    .set('trust proxy', true)
    .use(requestLog(createLogger({ level: 'silent' })))
    .use(requireScope({ isRequired: false, identify: async () => LOCAL }, 'read'), limitRate(1))
    .use((_request, response) => void response.send('here'))
    .use(problemHandler(createLogger({ level: 'silent' })));
  const server = await listen(app, { host: '127.0.0.1', port: 0 });
  const ask = (address: string) => fetch(server.url, { headers: { 'X-Forwarded-For': address } });
  const answers = await Promise.all(Array.from({ length: 15 }, () => ask('192.0.2.1')));
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(5);
  expect((await ask('192.0.2.2')).status).toBe(200);
  await server.close();
});
