import { expect, it } from 'vitest';
import { createLogger } from '../../server/src/http/log.ts';
import { asError, databaseFault, isRefused, whyUnusable } from '../../server/src/jobs/database-fault.ts';

const withCode = (code: string) => Object.assign(new Error('x'), { code });

it.each([
  ...[
    'ECONNREFUSED',
    'ENOTFOUND',
    '57P01',
    '57P03',
    '08006',
    '53300',
    '57014',
    '25006',
    '28P01',
    '3D000',
    // At the start it is a wrong setting; it may also happen later, when the server gets another certificate.
    'CERT_HAS_EXPIRED',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ].map(withCode),
  Object.assign(new AggregateError([withCode('ECONNREFUSED')], '')),
  new Error('timeout exceeded when trying to connect'),
  new Error('Connection terminated unexpectedly'),
  new Error('Query read timeout'),
  new Error('PGlite is closed'),
])('%s means that the database is away, and is reported without its address', (error) => {
  expect(databaseFault(error)).toMatchObject({ code: 'DATABASE_UNAVAILABLE', cause: error });
  expect((databaseFault(error) as Error).message).toMatch(
    /^The database cannot be reached \([A-Z0-9_]*|closed\)\.$/,
  );
});

it.each(['23505', '42P01', '22P02', 'ERR_ASSERTION'])('%s is something else', (code) => {
  const error = withCode(code);
  expect(databaseFault(error)).toBe(error);
});

it('recognises what waiting does not improve', () => {
  expect(['28P01', '28000', '3D000'].every((code) => isRefused(withCode(code)))).toBe(true);
  for (const code of ['SELF_SIGNED_CERT_IN_CHAIN', 'ERR_TLS_CERT_ALTNAME_INVALID'])
    expect(isRefused(withCode(code))).toBe(true);
  expect(isRefused(withCode('57P03'))).toBe(false);
});

it.each([
  ['28P01', 'the database refuses the role or its password (28P01).'],
  ['28000', 'the database refuses the role or its password (28000).'],
  ['3D000', 'the server has no such database (3D000).'],
  ['42501', 'the role may not create schemas in its database (42501).'],
  ['XX000', 'the database cannot be opened (XX000).'],
])('says in words what is wrong with %s', (code, why) => {
  expect(whyUnusable(withCode(code))).toBe(why);
});

it('attack: pg-boss passes on a copy of an error; its message is in the log, the password is not', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'error', destination: { write: (line) => void lines.push(line) } });
  const error = new Error('no connection to postgres://me:secret@host/db (Queue: normalization)');
  const copy = { ...Object.assign(error, { code: 'X1' }), message: error.message, stack: error.stack };
  log.error({ err: asError(copy) }, 'a fault');
  expect(lines[0]).toContain('no connection to postgres://host/[redacted] (Queue: normalization)');
  expect(lines[0]).toContain('"code":"X1"');
  expect(lines[0]).not.toContain('secret');
});
