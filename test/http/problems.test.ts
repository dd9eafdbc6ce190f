/** Problems reported to the client, and what the log says about them. */
import { describe, expect, it } from 'vitest';
import type { ERROR_TABLE } from '../../core/src/errors.ts';
import { app, body, expectProblem, get, lines, log, post, serveWholeApp } from './whole-app.ts';

serveWholeApp();

describe('problems', () => {
  it('say what is missing if the body is sent as a form, as curl -d does', async () => {
    const answer = await post('/api/normalizations', JSON.stringify(body()), {
      'Content-Type': 'application/x-www-form-urlencoded',
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      detail: expect.stringContaining('Content-Type: application/json'),
    });
  });

  it.each<[string, () => Promise<Response>, number, keyof typeof ERROR_TABLE]>([
    ['an unknown address', () => get('/nothing'), 404, 'NOT_FOUND'],
    ['an address outside the base path', () => fetch(`${app()}/health`), 404, 'NOT_FOUND'],
    [
      'an unknown address of the API, which is not a page of the viewer',
      () => get('/api/nothing', { headers: { Accept: 'text/html' } }),
      404,
      'NOT_FOUND',
    ],
    [
      'an unknown address of the archive, which is not one either',
      () => get('/dicom-web/nothing', { headers: { Accept: 'text/html' } }),
      404,
      'NOT_FOUND',
    ],
    ['an unknown job', () => get(`/api/normalizations/${crypto.randomUUID()}`), 404, 'JOB_NOT_FOUND'],
    ['a malformed job id', () => get('/api/normalizations/7'), 400, 'REQUEST_INVALID'],
    ['an unknown template', () => get('/api/templates/two'), 404, 'TEMPLATE_NOT_FOUND'],
    ['malformed JSON', () => post('/api/normalizations', '{"a":'), 400, 'REQUEST_INVALID'],
    ['a missing field', () => post('/api/normalizations', { template: 'one' }), 400, 'REQUEST_INVALID'],
    [
      'an unknown field',
      () => post('/api/normalizations', { ...body(), colour: 'red' }),
      400,
      'REQUEST_INVALID',
    ],
    [
      'a transfer that does not exist',
      () => post('/api/normalizations', { ...body(), transfer: 'other' }),
      400,
      'REQUEST_INVALID',
    ],
    [
      'a preview with a transfer that does not exist',
      () => {
        const region = { x: 0, y: 0, width: 9, height: 9 };
        return post('/api/preview', { ...body(), region, transfer: 'other' });
      },
      400,
      'REQUEST_INVALID',
    ],
    [
      'a body that is not JSON',
      () => post('/api/normalizations', 'x', { 'Content-Type': 'text/plain' }),
      400,
      'REQUEST_INVALID',
    ],
    [
      'an unknown charset',
      () => post('/api/normalizations', '{}', { 'Content-Type': 'application/json; charset=x' }),
      415,
      'REQUEST_INVALID',
    ],
    [
      'a body that is too large',
      () => post('/api/normalizations', JSON.stringify('x'.repeat(70_000))),
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['a page size that is too large', () => get('/api/normalizations?limit=1000'), 400, 'REQUEST_INVALID'],
    ['another method', () => get('/api/templates', { method: 'DELETE' }), 405, 'REQUEST_INVALID'],
    ['an address that cannot be decoded', () => get('/api/templates/%ff'), 400, 'REQUEST_INVALID'],
    [
      'a change from a page of another origin',
      () =>
        post(`/api/normalizations/${crypto.randomUUID()}/cancel`, '', {
          Origin: 'https://evil.example',
          'Sec-Fetch-Site': 'cross-site',
        }),
      403,
      'ORIGIN_REFUSED',
    ],
  ])('are reported for %s', async (_name, send, status, code) => {
    await expectProblem(await send(), status, code);
  });

  it('name the invalid fields', async () => {
    const problem = await expectProblem(
      await post('/api/normalizations', { ...body(), quality: 1000 }),
      400,
      'REQUEST_INVALID',
    );
    expect(problem.data).toEqual({ fields: [{ field: 'quality', message: expect.any(String) }] });
  });

  it('contain the data of the error, but nothing of an unexpected one', async () => {
    expect((await expectProblem(await get('/api/templates/two'), 404, 'TEMPLATE_NOT_FOUND')).data).toEqual({
      id: 'two',
    });
    const problem = await expectProblem(await get('/api/templates/broken'), 500, 'INTERNAL');
    expect(JSON.stringify(problem)).not.toMatch(/secret|stack|TypeError|pa55word/);
  });
});

describe('the log', () => {
  it('has one line per request, with the route and without identifiers, queries or tokens', async () => {
    lines.length = 0;
    await get('/api/normalizations?series=1.2.840.99', {
      headers: { Authorization: 'Bearer t0ken', Cookie: 'a=t0ken' },
    });
    await get('/dicom-web/studies?PatientName=DOE');
    await get('/api/templates/broken');
    await get('/secret-path?x=t0ken');
    await expect.poll(() => lines.filter((line) => JSON.parse(line).msg === 'request')).toHaveLength(4);
    log.info({ headers: { authorization: 't0ken' }, token: 't0ken' }, 'redacted');
    const entries = lines.map((line) => JSON.parse(line));
    expect(entries.filter(({ msg }) => msg === 'request')).toMatchObject([
      {
        method: 'GET',
        route: '/api/normalizations',
        status: 200,
        ms: expect.any(Number),
        requestId: expect.any(String),
      },
      { route: '/dicom-web', status: 200 },
      { route: '/api/templates/:id', status: 500 },
      { route: 'unmatched', status: 404 },
    ]);
    expect(entries.find(({ msg }) => msg === 'request failed').err.stack).toContain('TypeError');
    expect(lines.join('')).not.toMatch(/t0ken|DOE|1\.2\.840\.99|secret-path|pa55word|abc\.def/);
  });
});
