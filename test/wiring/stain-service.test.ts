import { afterAll, beforeAll, expect, it } from 'vitest';
import { toStainError } from '../../core/src/errors.ts';
import { Looks } from '../../server/src/pipeline/looks.ts';
import { stainService } from '../../server/src/wiring/stain-service.ts';
import { createWorkplace, TEMPLATE, type Workplace } from '../support/normalize.ts';

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place[Symbol.asyncDispose]());

it('accepts no more previews than it can make soon, and drops those that nobody waits for', async () => {
  const { composition } = place;
  // An archive that does not respond.
  const source = {
    seriesMetadata: (_study: string, _series: string, signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  } as never;
  const environment = composition.environment({ source, destination: source });
  // No template is made here.
  const service = stainService(
    composition,
    () => environment,
    new Looks(composition.config.limits),
    undefined!,
  );
  const leaving = new AbortController();
  const wanted = {
    studyInstanceUid: '2.25.1',
    seriesInstanceUid: '2.25.2',
    template: TEMPLATE,
    model: 'fast',
    transfer: 'linear',
    region: { x: 0, y: 0, width: 10, height: 10 },
    size: 10,
  } as const;
  const asked = Array.from({ length: 20 }, () =>
    service.preview(wanted, 'somebody', leaving.signal).then(
      () => 'done',
      (error: unknown) => toStainError(error).code,
    ),
  );
  let refused = 0;
  for (const one of asked) void one.then((end) => (refused += end === 'QUEUE_FULL' ? 1 : 0));
  await expect.poll(() => refused, { timeout: 30_000 }).toBe(4);
  leaving.abort();
  const ends = await Promise.all(asked);
  expect(ends.filter((end) => end === 'QUEUE_FULL')).toHaveLength(4);
  expect(ends.filter((end) => end === 'CANCELLED')).toHaveLength(16);
});
