/** The HTTP API as zod schemas and types. Nothing here needs Node, so that the browser extension can use it. */
export * from './batch.ts';
export * from './normalization.ts';
export * from './service.ts';
export * from './stain.ts';
export * from './template.ts';
