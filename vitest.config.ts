import { defineConfig } from 'vitest/config';

/** Whole slides, and services with a database: minutes where all others take seconds. */
const SYSTEM = [
  'test/{cases,cli,identity,jobs,normalized,rules}/**/*.test.ts',
  'test/fuzz/**/*.test.ts',
  'test/pipeline/{faults,glass-tiles,map-levels,normalize-pixels,not-he,preview-region,resume,sparse-slide}.test.ts',
];

/**
 * `unit` and `system` need only npm packages; `interop` talks to real peers (Orthanc, dciodvfy, ...); `security` attacks the service
 * (docs/security.md); `e2e` is OHIF in Chromium, `screens` the same on three sizes of screen; `faults` kills and disturbs real processes.
 */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // Some tests load ONNX Runtime themselves; the product switches its telemetry off (server/src/inference/no-telemetry.ts).
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // Until it is so, on a machine that does other work too: one second, the default, is a matter of luck.
    expect: { poll: { timeout: 30_000 } },
    setupFiles: process.env['STAIN_PROPERTY_RUNS'] ? ['test/support/property-setup.ts'] : [],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [
            ...SYSTEM,
            'test/interop/**',
            'test/security/**',
            'test/e2e/**',
            'test/faults/**',
            'test/image/**',
            'test/screens/**',
          ],
        },
      },
      { extends: true, test: { name: 'system', include: SYSTEM } },
      {
        extends: true,
        test: { name: 'screens', include: ['test/screens/**/*.test.ts'], hookTimeout: 180_000 },
      },
      { extends: true, test: { name: 'image', include: ['test/image/**/*.test.ts'], testTimeout: 120_000 } },
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
        test: {
          name: 'security',
          include: ['test/security/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 180_000,
        },
      },
      {
        extends: true,
        // Two browsers at a time: they wait for frames and for pictures at rest more than they compute.
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          // A browser on a machine that others use too. Who passes only then is named at the end of .ci/run.
          retry: process.env['CI'] ? 1 : 0,
          hookTimeout: 180_000,
        },
      },
      {
        extends: true,
        // What a fault does must not depend on what another test does beside it.
        test: {
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          globalSetup: ['test/faults/table.ts'],
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
