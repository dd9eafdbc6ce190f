/** Rules as written in their file: which new series are normalised without anybody asking, to what, and when. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { destination, source } from '../../../core/src/contract/archive.ts';
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import { OUTPUT_ENCODINGS } from '../../../core/src/contract/output.ts';
import { DEFAULT_TRANSFER, TRANSFERS } from '../../../core/src/stain/transfer-name.ts';
import { archiveNames, type Config } from '../config.ts';
import { entryOfTag, isAttribute, tagOf } from '../dicom/dictionary.ts';
import { invalidSetting, jsonFault } from '../setting.ts';
import { DAYS, type Hours } from './hours.ts';

const MAX_RULES = 100;
const MAX_ATTRIBUTES = 32;
/** Values that cannot be compared with a text. */
const NOT_TEXT = new Set(['SQ', 'OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);

const wanted = z.string().min(1).max(256);
const time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time such as 20:00');

const hours = z.strictObject({
  from: time,
  to: time,
  days: z.array(z.enum(DAYS)).min(1).optional(),
  timeZone: z.string().refine(isTimeZone, 'a time zone such as Europe/Amsterdam').optional(),
});

const ruleSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens'),
  enabled: z.boolean().default(true),
  match: z.record(z.string(), z.union([wanted, z.array(wanted).min(1).max(100)])),
  template: z.string().min(1),
  model: z.string().min(1).default(DEFAULT_MODEL),
  transfer: z.enum(TRANSFERS).default(DEFAULT_TRANSFER),
  encoding: z.enum(OUTPUT_ENCODINGS).optional(),
  quality: z.int().min(1).max(100).optional(),
  anyStain: z.literal(true).optional(),
  source,
  destination,
  outcome: z.enum(['fit', 'store']).default('fit'),
  priority: z.enum(['high', 'normal', 'low']).default('normal'),
  hours: hours.optional(),
  since: z.iso.date().optional(),
  withoutAcceptance: z.string().trim().min(1).max(400).optional(),
});

const fileSchema = z.strictObject({ rules: z.array(ruleSchema).max(MAX_RULES) });

/** An attribute of a rule: one matching value is enough. */
export interface Wanted {
  readonly keyword: string;
  /** Eight hexadecimal digits. */
  readonly tag: string;
  readonly values: readonly string[];
}

export interface Rule extends Omit<z.infer<typeof ruleSchema>, 'match' | 'hours'> {
  readonly match: readonly Wanted[];
  readonly hours: Hours | undefined;
}

/** None without a file. @throws CONFIGURATION_INVALID; the message names the rule and what is wrong with it */
export function loadRules({ rules: { file }, archives }: Pick<Config, 'rules' | 'archives'>): Rule[] {
  if (file === undefined) return [];
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw invalidSetting('rules.file', `the file ${jsonFault(cause)}`, cause);
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => `${placeOf(path, json)}: ${message}`);
    throw invalidSetting('rules.file', problems.join('; '));
  }
  const { rules } = parsed.data;
  const names = rules.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw refused(twice, 'there are two rules of this name.');
  for (const rule of rules) requireArchives(rule, archives);
  return rules.map(toRule);
}

function requireArchives(
  { name, source, destination, outcome }: z.infer<typeof ruleSchema>,
  archives: Config['archives'],
): void {
  const unknown = [source, destination].find(
    (archive) => archive !== undefined && !Object.hasOwn(archives, archive),
  );
  if (unknown !== undefined)
    throw refused(
      name,
      `there is no archive "${unknown}". There are: ${archiveNames({ archives }).join(', ')}.`,
    );
  if (destination === undefined) return;
  if (archives[destination]!.isReadOnly) throw refused(name, `the archive "${destination}" is read-only.`);
  if (outcome === 'fit') throw refused(name, 'destination needs outcome "store".');
}

function toRule({ match, ...rule }: z.infer<typeof ruleSchema>): Rule {
  const { name, outcome, transfer, model, encoding, quality, anyStain } = rule;
  if (outcome === 'fit') {
    // The normalised archive chooses these itself.
    if (transfer !== DEFAULT_TRANSFER || model !== DEFAULT_MODEL)
      throw refused(
        name,
        `outcome "fit" works with transfer "${DEFAULT_TRANSFER}" and model "${DEFAULT_MODEL}" only; use outcome "store".`,
      );
    if (encoding !== undefined || quality !== undefined || anyStain)
      throw refused(name, 'encoding, quality and anyStain need outcome "store".');
  }
  const attributes = Object.entries(match);
  if (attributes.length > MAX_ATTRIBUTES)
    throw refused(name, `match has more than ${MAX_ATTRIBUTES} attributes.`);
  return {
    ...rule,
    hours: rule.hours,
    match: attributes.map(([keyword, values]) => ({
      keyword,
      tag: requireAttribute(name, keyword),
      values: [values].flat(),
    })),
  };
}

function requireAttribute(rule: string, keyword: string): string {
  let tag: string | undefined;
  try {
    tag = isAttribute(keyword) ? tagOf(keyword) : undefined;
  } catch {
    throw refused(rule, `"${keyword}" is retired: give its tag, eight hexadecimal digits.`);
  }
  if (tag === undefined) throw refused(rule, `"${keyword}" is not an attribute of DICOM (PS3.6).`);
  if (NOT_TEXT.has(entryOfTag(tag)?.vr ?? 'LO'))
    throw refused(rule, `"${keyword}" is a sequence or binary; only plain attributes can be compared.`);
  return tag;
}

/** @param name of the rule */
export function refused(name: string, why: string): Error {
  return invalidSetting('rules.file', `rule "${name}": ${why}`);
}

/** Names the rule, because its number says little. */
function placeOf(path: readonly PropertyKey[], json: unknown): string {
  const [, index, ...rest] = path;
  const name = (json as { rules?: { name?: unknown }[] } | null)?.rules?.[Number(index)]?.name;
  if (typeof name !== 'string') return path.join('.') || 'the file';
  return [`rule "${name.slice(0, 63)}"`, ...rest].join(' ');
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
