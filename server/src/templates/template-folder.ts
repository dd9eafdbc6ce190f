/** Templates as files, for the command line: the shipped ones and the user's own, one JSON file each, named by id. */
import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { StainError } from '../../../core/src/errors.ts';
import { parseTemplate, versionOf } from '../../../core/src/stain/template.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import type { TemplateStore } from '../pipeline/template-store.ts';
import { makeSettingFolder, unwritable } from '../setting.ts';

export interface TemplateFolder extends TemplateStore {
  /** The templates shipped with the product. */
  shipped(): Promise<Template[]>;
  /** All templates, shipped ones first. */
  list(): Promise<Template[]>;
  /** @throws TEMPLATE_NOT_FOUND */
  get(id: string): Promise<Template>;
  /** Writes a file into the user's folder. @throws TEMPLATE_SHIPPED, and TEMPLATE_EXISTS unless `replace` */
  add(template: Template, options: { replace: boolean }): Promise<string>;
}

export interface TemplateFolderOptions {
  /** Read-only folder of the shipped templates. */
  readonly shipped: string;
  /** The user's folder, created when the first template is added. It may be the shipped one, to rebuild that. */
  readonly own: string;
  /** Called for a user's file that is ignored because a shipped template has its id. */
  onIgnored?(file: string, id: string): void;
}

/** Reads all files before it returns anything. @throws TEMPLATE_INVALID, TEMPLATE_OUTDATED */
export function createTemplateFolder({ shipped, own, onIgnored }: TemplateFolderOptions): TemplateFolder {
  const readShipped = async (): Promise<Template[]> =>
    resolve(shipped) === resolve(own) ? [] : readTemplates(shipped);
  const read = async (): Promise<Map<string, Template>> => {
    const templates = new Map((await readShipped()).map((template) => [template.id, template]));
    const fixed = new Set(templates.keys());
    for (const name of await namesIn(own)) {
      const file = join(own, name);
      const template = await readTemplate(file);
      if (fixed.has(template.id)) onIgnored?.(file, template.id);
      else templates.set(template.id, template);
    }
    return templates;
  };
  const get = async (id: string): Promise<Template> => {
    const templates = await read();
    const template = templates.get(id);
    if (template) return template;
    throw new StainError(
      'TEMPLATE_NOT_FOUND',
      `There is no template "${id}". There are: ${[...templates.keys()].join(', ') || 'none'}.`,
    );
  };
  return {
    shipped: readShipped,
    list: async () => [...(await read()).values()],
    get,
    async version(id, sha256) {
      const found = versionOf(await get(id));
      if (sha256 === undefined || sha256 === found.sha256) return found;
      throw new StainError('TEMPLATE_CHANGED', `The file of template "${id}" has changed in the meantime.`);
    },
    async add(template, { replace }) {
      if ((await readShipped()).some(({ id }) => id === template.id))
        throw new StainError('TEMPLATE_SHIPPED', `The template "${template.id}" comes with the product.`);
      const file = join(own, `${template.id}.json`);
      await makeSettingFolder('templates.directory', own);
      // Written aside and then linked into place: a crash leaves no partial template. A link fails if the file exists.
      const aside = join(own, `.${randomUUID()}`);
      try {
        await writeFile(aside, `${JSON.stringify(template, null, 2)}\n`);
        await (replace ? rename(aside, file) : link(aside, file));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
          throw unwritable('templates.directory', cause);
        throw new StainError('TEMPLATE_EXISTS', `A template "${template.id}" exists already.`, { cause });
      } finally {
        await rm(aside, { force: true });
      }
      return file;
    },
  };
}

/** Paths of the templates in a folder; empty if there is no such folder. */
export async function templateFiles(folder: string): Promise<string[]> {
  return (await namesIn(folder)).map((name) => join(folder, name));
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.json') && !name.startsWith('.')).sort();
}

async function readTemplates(folder: string): Promise<Template[]> {
  return Promise.all((await templateFiles(folder)).map(readTemplate));
}

async function readTemplate(file: string): Promise<Template> {
  return parseTemplate(await readFile(file, 'utf8'), file);
}
