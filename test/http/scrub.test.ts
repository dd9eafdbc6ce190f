/** Nothing that identifies a person reaches the log in an error, whoever threw it and however it is worded. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { createLogger } from '../../server/src/http/log.ts';
import { scrub } from '../../server/src/http/scrub.ts';
import { runs } from '../support/property-runs.ts';

/** What `log.error({ err })` writes. */
function logged(err: unknown): string {
  const lines: string[] = [];
  createLogger({ level: 'error', destination: { write: (line) => void lines.push(line) } }).error(
    { err },
    'x',
  );
  return lines.join('');
}

const uid = fc
  .array(fc.nat(2 ** 31), { minLength: 3, maxLength: 10 })
  .map((parts) => `1.2.${parts.join('.')}`.slice(0, 64).replace(/\.$/, ''));
const patient = fc.constantFrom('Quidditch^Zo', 'Dolohow^Igor^^Dr', 'PID-73x91');
/** How libraries word errors about a value; with PID they quote it. */
const wordings: readonly ((uid: string, patient: string) => string)[] = [
  (uid) => `The archive shows you no series ${uid} in study ${uid}.`,
  (uid) => `Key (workitem_uid)=(${uid}) already exists.`,
  (uid) => `getaddrinfo ENOTFOUND archive, GET https://archive.example:8042/dicom-web/studies/${uid}/series`,
  (uid, patient) => `fetch failed: http://me:pass@10.1.2.3/studies/${uid}?PatientID=${patient}#x`,
  (uid) => `Failed to parse URL from /dicom-web/studies/${uid}`,
  (uid) => `GET /studies/${uid.replaceAll('.', '%2E')}/metadata: 500`,
  (uid) => `ENOENT: no such file or directory, open '/var/archive/${uid}/${uid}.dcm'`,
  (_uid, patient) => `invalid input syntax for type uuid: "${patient}"`,
  (_uid, patient) => `Unexpected token 'Q', ..."Name":"a"b ${patient}\n x": 1}"... is not valid JSON`,
  (_uid, patient) => `Unterminated string: "${patient}`,
  (_uid, patient) => `connect /studies?PatientName=${patient}&x=1 refused`,
  (uid) => `(${uid})[${uid}]:${uid};${uid}`,
];

describe('attack: an error text that names a study or a patient', () => {
  it('is logged without it: message, stack, causes and aggregated errors', () => {
    fc.assert(
      fc.property(uid, patient, fc.constantFrom(...wordings), (uid, patient, wording) => {
        const text = wording(uid, patient);
        const errors = [
          new Error(text),
          new TypeError(text, { cause: new Error(text, { cause: { url: text } }) }),
          new AggregateError([new Error(text)], text),
          new StainError('SERIES_NOT_FOUND', text, { data: { text }, cause: new Error(text) }),
          Object.assign(new Error(text), { detail: text, address: text, code: text, request: { url: text } }),
          Object.assign(new Error('x'), { name: text }),
          Object.assign(new Error(text), { message: 'x' }),
          Object.assign(new Error('x'), { stack: `Error: x\n    at f (file.ts:1:2)\nCaused by: ${text}` }),
          text,
        ];
        for (const error of errors) {
          const line = logged(error);
          for (const secret of [uid, patient, ...patient.split('^'), 'pass@'].filter(
            (word) => word.length > 2,
          ))
            expect(line).not.toContain(secret);
        }
      }),
      { numRuns: runs(500) },
    );
  });

  it('an error that is its own cause is still logged', () => {
    const error = new Error('round');
    error.cause = error;
    expect(logged(error)).toContain('round');
  });

  it('keeps what describes the fault itself', () => {
    const line = logged(
      Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), {
        code: 'ECONNREFUSED',
        syscall: 'connect',
        address: '127.0.0.1',
        port: 5432,
      }),
    );
    expect(JSON.parse(line).err).toMatchObject({ code: 'ECONNREFUSED', address: '127.0.0.1', port: 5432 });
    expect(line).toContain('scrub.test.ts:');
    expect(scrub('https://archive.example:8042/studies?x=1')).toBe('https://archive.example:8042/[redacted]');
    expect(scrub('relation stain_normalization.job does not exist')).toBe(
      'relation stain_normalization.job does not exist',
    );
    expect(scrub('It took 0.5 s of 1.5.')).toBe('It took 0.5 s of 1.5.');
  });

  it('scrubbing again changes nothing', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('1', '.', '"', '^', ' ', '?', '=', 'a', '%2e', ')=(') }),
        (text) => {
          expect(scrub(scrub(text))).toBe(scrub(text));
        },
      ),
    );
  });

  it.each(['1', '1.', '1.1', '?', '?=', '"', 'a', '^', 'http://', 'Bearer ', '%2e', ' \n', ')=('])(
    'scrubs a megabyte of %s without delay',
    (part) => {
      // Superlinear patterns would take minutes, and exceed the test's time limit.
      for (let i = 0; i < 20; i++) scrub(part.repeat(1_000_000 / part.length));
    },
  );
});
