/** Templates as files, for the command line: the shipped ones and the user's own, one JSON file each, named by id. */
import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { StainError } from '../../../core/src/errors.ts';
import { parseTemplate, versionOf } from '../../../core/src/stain/template.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import type { TemplateStore } from '../pipeline/template-store.ts';
import { invalidSetting, makeSettingFolder, unwritable } from '../setting.ts';

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
  /** Called for a user's file that is not used. @param why the rest of a sentence that begins with the file */
  onIgnored?(file: string, why: string): void;
}

/**
 * A file of the user's that cannot be read is an error only for whoever asks for that template: others go on.
 * @throws TEMPLATE_INVALID, TEMPLATE_OUTDATED for a shipped one
 */
export function createTemplateFolder({ shipped, own, onIgnored }: TemplateFolderOptions): TemplateFolder {
  const readShipped = async (): Promise<Template[]> =>
    resolve(shipped) === resolve(own) ? [] : readTemplates(shipped);
  const read = async () => {
    const templates = new Map((await readShipped()).map((template) => [template.id, template]));
    const fixed = new Set(templates.keys());
    const found: { readonly file: string; readonly template: Template }[] = [];
    const unreadable = new Map<string, unknown>();
    for (const file of await templateFiles(own))
      try {
        found.push({ file, template: await readTemplate(file) });
      } catch (error) {
        unreadable.set(basename(file, '.json'), error);
        onIgnored?.(file, 'is ignored: it is not a template that this version can read.');
      }
    // Of several files with one template, the one named by its id counts.
    const isNamed = ({ file, template: { id } }: (typeof found)[number]): boolean =>
      basename(file, '.json') === id;
    for (const { file, template } of found.toSorted((a, b) => Number(isNamed(b)) - Number(isNamed(a)))) {
      const { id } = template;
      if (fixed.has(id))
        onIgnored?.(file, `is ignored: template "${id}" comes with the product. Give it another id.`);
      else if (templates.has(id)) onIgnored?.(file, `is ignored: another file has template "${id}" too.`);
      else templates.set(id, template);
    }
    return { templates, unreadable };
  };
  const get = async (id: string): Promise<Template> => {
    const { templates, unreadable } = await read();
    const template = templates.get(id);
    if (template) return template;
    if (unreadable.has(id)) throw unreadable.get(id);
    throw new StainError(
      'TEMPLATE_NOT_FOUND',
      `There is no template "${id}". There are: ${[...templates.keys()].join(', ') || 'none'}.`,
    );
  };
  return {
    shipped: readShipped,
    list: async () => [...(await read()).templates.values()],
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

/** @throws CONFIGURATION_INVALID if something else is in its place */
async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    throw invalidSetting('templates.directory', `the folder cannot be read (${cause.code}).`, cause);
  });
  return names.filter((name) => name.endsWith('.json') && !name.startsWith('.')).sort();
}

async function readTemplates(folder: string): Promise<Template[]> {
  return Promise.all((await templateFiles(folder)).map(readTemplate));
}

async function readTemplate(file: string): Promise<Template> {
  return parseTemplate(await templateText(file), file);
}

/** @throws TEMPLATE_INVALID if the file cannot be read */
export async function templateText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new StainError('TEMPLATE_INVALID', `${file} cannot be read (${cause.code}).`, { cause });
  });
}
