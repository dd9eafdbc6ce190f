import { defineConfig } from 'vitest/config';

/** `unit` needs only npm packages; `interop` talks to real peers (Orthanc, dciodvfy, ...); `e2e` is OHIF in Chromium. */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/interop/**', 'test/e2e/**'] },
      },
      {
        extends: true,
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        // One browser with its service at a time: both want the whole machine.
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          fileParallelism: false,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
