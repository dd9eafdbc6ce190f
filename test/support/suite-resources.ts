import { afterAll } from 'vitest';

/**
 * What the tests of a suite share. After the last of them everything ends, in the reverse order, also where a later
 * resource could not start. Call it where the suite is described; use what `beforeAll` starts.
 */
export function suiteResources(): AsyncDisposableStack {
  const resources = new AsyncDisposableStack();
  afterAll(() => resources.disposeAsync());
  return resources;
}
