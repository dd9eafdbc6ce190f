/** Jobs over HTTP, and their event stream. */
import { describe, expect, it, vi } from 'vitest';
import { jobList, job as jobSchema } from '../../core/src/contract/index.ts';
import { FINGERPRINT, until } from '../jobs/support.ts';
import { readEvents } from './read-events.ts';
import {
  all,
  app,
  body,
  expectProblem,
  get,
  jobs,
  jsonOf,
  post,
  running,
  serveWholeApp,
  work,
} from './whole-app.ts';

serveWholeApp();

describe('limits of a request', () => {
  it('a body that is nested too deeply is refused', async () => {
    const deep = `${'['.repeat(40)}${']'.repeat(40)}`;
    const response = await post('/api/normalizations', deep);
    expect(response.status).toBe(400);
    expect((await jsonOf(response)).detail).toContain('nested deeper');
    const wide = await post('/api/normalizations', JSON.stringify({ a: [[[]]] }));
    expect((await jsonOf(wide)).detail).not.toContain('nested deeper');
  });
});

describe('normalizations', () => {
  it('are created with 202 and a Location, and found again with 200', async () => {
    const next = work.next();
    const wanted = body();
    const made = await post('/api/normalizations', wanted);
    expect(made.status).toBe(202);
    const job = jobSchema.strict().parse(await made.json());
    expect(job.request).toEqual({
      ...wanted,
      templateSha256: FINGERPRINT.templateSha256,
      sourceSha256: FINGERPRINT.sourceSha256,
      contentSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      model: 'fast',
      transfer: 'linear',
      encoding: 'jpeg',
      quality: 77,
    });
    expect(made.headers.get('Location')).toBe(`/stain/api/normalizations/${job.id}`);
    const again = await post('/api/normalizations', wanted);
    expect(again.status).toBe(200);
    expect(await again.json()).toMatchObject({ id: job.id });
    expect(await (await fetch(`${app()}${made.headers.get('Location')}`)).json()).toMatchObject({
      id: job.id,
    });
    (await next).succeed();
    await until(jobs, job.id, 'COMPLETED');
    const list = jobList.parse(
      await (await get(`/api/normalizations?series=${wanted.seriesInstanceUid}&state=COMPLETED`)).json(),
    );
    expect(list).toMatchObject({
      jobs: [{ id: job.id, result: { seriesInstanceUid: '2.25.1' } }],
      next: null,
    });
  });

  it('of any stain must be requested explicitly, and are different jobs', async () => {
    const next = work.next();
    const wanted = body();
    const plain = jobSchema.parse(await (await post('/api/normalizations', wanted)).json());
    const call = await next;
    expect(call.request.anyStain).toBeUndefined();
    call.succeed();
    await until(jobs, plain.id, 'COMPLETED');
    const after = work.next();
    const asked = await post('/api/normalizations', { ...wanted, anyStain: true });
    const job = jobSchema.parse(await asked.json());
    expect(job.id).not.toBe(plain.id);
    expect(job.request.anyStain).toBe(true);
    const second = await after;
    expect(second.request.anyStain).toBe(true);
    second.succeed();
    await until(jobs, job.id, 'COMPLETED');
  });

  it('are refused at once if the series or template does not exist', async () => {
    const response = await post('/api/normalizations', { ...body(), seriesInstanceUid: '4.0.4' });
    await expectProblem(response, 404, 'SERIES_NOT_FOUND');
    expect((await jobs.list({ series: '4.0.4', limit: 1 })).jobs).toEqual([]);
  });

  it('are cancelled, running or waiting', async () => {
    const { id, call } = await running();
    const waiting = jobSchema.parse(await (await post('/api/normalizations', body())).json());
    const atOnce = await get(`/api/normalizations/${waiting.id}`, { method: 'DELETE' });
    expect([atOnce.status, (await jsonOf(atOnce)).state]).toEqual([200, 'CANCELED']);
    const soon = await post(`/api/normalizations/${id}/cancel`, '');
    expect([soon.status, (await jsonOf(soon)).cancelRequested]).toEqual([202, true]);
    expect(call.signal.aborted).toBe(true);
    await until(jobs, id, 'CANCELED');
    await expectProblem(await post(`/api/normalizations/${id}/cancel`, ''), 409, 'JOB_FINISHED');
  });
});

describe('the event stream', () => {
  it('sends the current state, the progress and the end, with heartbeats, and then closes', async () => {
    const { id, call } = await running();
    const response = await get(`/api/normalizations/${id}/events`);
    expect(response.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8');
    const seen: string[] = [];
    const text: string[] = [];
    for await (const event of readEvents(response, text)) {
      expect(event.id).toBe(event.job.revision);
      const { state, progress } = jobSchema.parse(event.job);
      seen.push(`${state} ${progress?.fraction ?? '-'}`);
      if (seen.length === 1)
        void vi.waitFor(() => expect(text.join('')).toContain(': still here')).then(() => call.progress(0.5));
      if (seen.length === 2) call.succeed();
    }
    expect(seen).toEqual(['IN PROGRESS -', 'IN PROGRESS 0.5', 'COMPLETED 0.5']);
    expect(text.join('')).toMatch(/^retry: \d+\n\n/);
    expect(text.join('')).toContain(': still here');
  });

  it('continues after Last-Event-ID, and closes at once if the client knows the end', async () => {
    const { id, call } = await running();
    call.progress(0.3);
    const { revision } = await jobs.get(id);
    const response = await get(`/api/normalizations/${id}/events`, {
      headers: { 'Last-Event-ID': revision },
    });
    call.succeed();
    const events = await all(readEvents(response));
    expect(events.map((event) => event.job.state)).toEqual(['COMPLETED']);
    const again = await get(`/api/normalizations/${id}/events`, {
      headers: { 'Last-Event-ID': events[0]!.id },
    });
    expect(again.status).toBe(204);
    const reloaded = await all(readEvents(await get(`/api/normalizations/${id}/events`)));
    expect(reloaded.map((event) => event.job.state)).toEqual(['COMPLETED']);
  });

  it('of an unknown job is a problem', async () => {
    await expectProblem(await get(`/api/normalizations/${crypto.randomUUID()}/events`), 404, 'JOB_NOT_FOUND');
  });
});
