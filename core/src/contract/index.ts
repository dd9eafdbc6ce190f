/** The HTTP API as zod schemas and types. Needs no Node, so the browser extension can use it. */
export * from './archive.ts';
export * from './batch.ts';
export * from './default-archive.ts';
export * from './job-state.ts';
export * from './normalization.ts';
export * from './output.ts';
export * from './rejection-reason.ts';
export * from './result.ts';
export * from './rule.ts';
export * from './service.ts';
export * from './stain.ts';
export * from './template.ts';
