/** Templates as files: the shipped ones beside the models and the user's own; one JSON file each, named by id. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
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
}

/** @param shipped read-only folder; @param own the user's folder, made when the first template is added */
export function createTemplateStore({ shipped, own }: { shipped: string; own: string }): TemplateStore {
  const read = async (): Promise<Map<string, Template>> => {
    const templates = new Map<string, Template>();
    for (const folder of [shipped, own]) {
      const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
      for (const name of names) {
        const template = parseTemplate(await readFile(join(folder, name), 'utf8'), name);
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
      await mkdir(own, { recursive: true });
      try {
        await writeFile(file, `${JSON.stringify(template, null, 2)}\n`, { flag: replace ? 'w' : 'wx' });
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
        throw new StainError('TEMPLATE_EXISTS', `A template "${template.id}" exists already.`, { cause });
      }
      return file;
    },
  };
}
