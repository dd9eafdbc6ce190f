/**
 * Which way imports go. Rooms are listed from the bottom up: a room imports from those before it, never from those behind it.
 * ARCHITECTURE.md has the picture.
 */
const ROOMS = [
  'sharing',
  'dicom',
  'slide',
  'spool',
  'derived',
  'codec',
  'inference',
  'dicomweb',
  'pipeline',
  'audit',
  'auth',
  'jobs',
  'templates',
  'monitoring',
  'web',
  'archive',
  'normalized',
  'acceptance',
  'rules',
  'results',
  'http',
  'viewer',
  'wiring',
  'cli',
];

/** Built-in modules of Node, and packages that need it. */
const NODE_ONLY = ['^node:', 'node_modules/(express|sharp|undici|onnxruntime-node|pg-boss|pino|piscina)/'];

export default {
  forbidden: [
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'core-needs-no-node',
      comment: 'server and browser both use core',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: ['^server/', '^extension/', ...NODE_ONLY] },
    },
    {
      name: 'plugin-imports-core-only',
      severity: 'error',
      from: { path: '^extension/' },
      to: { path: ['^server/', ...NODE_ONLY] },
    },
    {
      name: 'server-imports-no-plugin',
      severity: 'error',
      from: { path: '^server/' },
      to: { path: '^extension/src/' },
    },
    ...ROOMS.map((room, place) => ({
      name: `rooms-above-${room}`,
      severity: 'error',
      from: { path: `^server/src/${room}/` },
      to: { path: `^server/src/(${[...ROOMS.slice(place + 1), 'main\\.ts'].join('|')})(/|$)` },
    })),
    {
      name: 'every-room-is-listed',
      severity: 'error',
      from: {},
      to: { path: `^server/src/(?!${ROOMS.join('|')})[^/]+/` },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
