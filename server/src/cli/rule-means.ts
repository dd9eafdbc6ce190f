/** Whether the templates and models that rules name exist, as far as a command can tell. */
import { stat } from 'node:fs/promises';
import { toStainError } from '../../../core/src/errors.ts';
import { openDatabase } from '../jobs/database.ts';
import { type Rule, refused } from '../rules/rule.ts';
import { TemplateRecords } from '../templates/template-records.ts';
import type { Composition } from '../wiring/composition.ts';

/** A template that is in no file, while the database of the service cannot be read. */
export interface Unchecked {
  readonly rule: string;
  readonly template: string;
  /** Why the database cannot be read. */
  readonly why: string;
}

/** @throws CONFIGURATION_INVALID for a template or model that does not exist; the message names those that do */
export async function requireMeans(rules: readonly Rule[], composition: Composition): Promise<Unchecked[]> {
  const models = (await composition.models()).map(({ name }) => name);
  for (const { name, model } of rules)
    if (!models.includes(model)) throw refused(name, noSuch('model', model, models));
  const files = (await composition.templates.list()).map(({ id }) => id);
  const missing = rules.filter(({ template }) => !files.includes(template));
  if (missing.length === 0) return [];
  const made = await templatesOfService(composition);
  if ('why' in made) return missing.map(({ name, template }) => ({ rule: name, template, why: made.why }));
  const unknown = missing.find(({ template }) => !made.ids.includes(template));
  if (unknown) {
    const all = [...new Set([...files, ...made.ids])];
    throw refused(unknown.name, noSuch('template', unknown.template, all));
  }
  return [];
}

function noSuch(what: string, name: string, names: readonly string[]): string {
  return `there is no ${what} "${name}". There are: ${names.join(', ')}.`;
}

/** Of users, in the database; or why it cannot be read, such as an embedded one that a service has open. */
async function templatesOfService({
  config: { database, jobs },
}: Composition): Promise<{ ids: string[] } | { why: string }> {
  const isThere =
    database.url !== undefined ||
    (await stat(database.directory).then(
      () => true,
      () => false,
    ));
  if (!isThere) return { ids: [] };
  try {
    const opened = await openDatabase({
      ...database,
      heartbeatSeconds: jobs.heartbeatSeconds,
      // Background work of the queue does not matter to this command.
      onError: () => {},
    });
    try {
      return { ids: (await new TemplateRecords(opened).current()).map(({ id }) => id) };
    } finally {
      await opened.close();
    }
  } catch (thrown) {
    return { why: toStainError(thrown).message };
  }
}
