/** `--query Keyword=Value`: which series of an archive a command is about. */
import { batchQuery } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';

/** @throws REQUEST_INVALID naming the attributes that can be searched */
export function parseQuery(pairs: readonly string[]): ReturnType<typeof batchQuery.parse> {
  const entries = pairs.map((pair) => {
    const [, keyword, value] = /^(\w+)=(.+)$/.exec(pair) ?? [];
    // Without a value the schema refuses it.
    return [keyword ?? `${pair}=`, value] as const;
  });
  const twice = entries.find(([keyword], i) => entries.findIndex(([other]) => other === keyword) < i);
  if (twice)
    throw new StainError(
      'REQUEST_INVALID',
      `${twice[0]} is given twice: run the command for each value, or use a wildcard.`,
    );
  const parsed = batchQuery.safeParse(Object.fromEntries(entries));
  if (parsed.success) return parsed.data;
  const told = parsed.error.issues.find(({ code, path }) => code === 'invalid_format' && path.length > 0);
  if (told) throw new StainError('REQUEST_INVALID', `${String(told.path[0])}: ${told.message}.`);
  throw new StainError(
    'REQUEST_INVALID',
    `A query must be Keyword=Value, with one of ${Object.keys(batchQuery.shape).join(', ')}.`,
  );
}
