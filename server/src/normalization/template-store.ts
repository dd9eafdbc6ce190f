/** Templates as files: the shipped ones beside the models and the user's own; one JSON file each, named by id. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StainError } from '../errors.ts';
import { parseTemplate, type Template } from '../stain/template.ts';

export interface TemplateStore {
  /** All templates, shipped ones first; a user's template hides a shipped one of the same id. */
  list(): Promise<Template[]>;
  /** @throws TEMPLATE_NOT_FOUND */
  get(id: string): Promise<Template>;
  /** Writes a user's template. @throws TEMPLATE_EXISTS unless `replace` */
  add(template: Template, options: { replace: boolean }): Promise<string>;
  /** Ids of the user's templates. */
  ownIds(): Promise<ReadonlySet<string>>;
  /** Removes a user's template. @throws TEMPLATE_NOT_FOUND, TEMPLATE_SHIPPED */
  remove(id: string): Promise<void>;
}

/** @param shipped read-only folder; @param own the user's folder, made when the first template is added */
export function createTemplateStore({ shipped, own }: { shipped: string; own: string }): TemplateStore {
  const ownNames = (): Promise<string[]> => readdir(own).catch(() => []);
  const ownIds = async (): Promise<ReadonlySet<string>> =>
    new Set((await ownNames()).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -5)));
  // A viewer asks for the list again and again, and each file holds a picture: those that are as they were are kept.
  const kept = new Map<string, { readonly version: string; readonly template: Template }>();
  const parse = async (path: string, name: string): Promise<Template> => {
    const { mtimeMs, size, ino } = await stat(path);
    const version = `${mtimeMs} ${size} ${ino}`;
    const known = kept.get(path);
    if (known?.version === version) return known.template;
    const template = parseTemplate(await readFile(path, 'utf8'), name);
    kept.set(path, { version, template });
    return template;
  };
  const read = async (): Promise<Map<string, Template>> => {
    const templates = new Map<string, Template>();
    for (const folder of [shipped, own]) {
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
      for (const name of names) {
        const template = await parse(join(folder, name), name);
        templates.set(template.id, template);
      }
    }
    return templates;
  };
  return {
    list: async () => [...(await read()).values()],
    async get(id) {
      const templates = await read();
      const template = templates.get(id);
      if (!template)
        throw new StainError(
          'TEMPLATE_NOT_FOUND',
          `There is no template "${id}". There are: ${[...templates.keys()].join(', ') || 'none'}.`,
        );
      return template;
    },
    async add(template, { replace }) {
      const file = join(own, `${template.id}.json`);
      await mkdir(own, { recursive: true, mode: 0o700 });
      // Written aside and put in place whole: a crash leaves no half template. A link fails where a file is.
      const aside = join(own, `.${randomUUID()}`);
      try {
        await writeFile(aside, `${JSON.stringify(template, null, 2)}\n`);
        await (replace ? rename(aside, file) : link(aside, file));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
        throw new StainError('TEMPLATE_EXISTS', `A template "${template.id}" exists already.`, { cause });
      } finally {
        await rm(aside, { force: true });
      }
      return file;
    },
    ownIds,
    async remove(id) {
      const name = (await ownNames()).find((found) => found === `${id}.json`);
      if (name) return rm(join(own, name));
      if ((await read()).has(id))
        throw new StainError('TEMPLATE_SHIPPED', `The template "${id}" comes with the product.`);
      throw new StainError('TEMPLATE_NOT_FOUND', `There is no template "${id}".`);
    },
  };
}
