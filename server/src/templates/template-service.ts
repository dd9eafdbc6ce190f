/**
 * The templates of services and workers: the shipped ones and those made by users, in the one database that all
 * processes share. Its owner decides who may change a template.
 */

import { StainError } from '../../../core/src/errors.ts';
import {
  contentOf,
  parseContent,
  publicOrigin,
  sha256Of,
  TEMPLATE_KIND,
  type TemplateVersion,
} from '../../../core/src/stain/template.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import type { Config } from '../config.ts';
import type { Database } from '../jobs/database.ts';
import type { TemplateSource, TemplateStore } from '../pipeline/template-store.ts';
import {
  type NewTemplate,
  type TemplateEditor,
  type TemplateRecord,
  TemplateRecords,
} from './template-records.ts';

/** Attempts to write a template that others are writing at the same time. */
const MAX_TRIES = 5;

/** Templates imported from files belong to the service: administrators change them. */
const SERVICE: TemplateEditor = { id: null, isAdministrator: false };

export interface TemplateServiceOptions {
  readonly database: Database;
  /** The templates shipped with the product, whose ids are taken. */
  readonly shipped: readonly Template[];
  readonly limits: Pick<Config['limits'], 'templatesPerUser' | 'templateBytes'>;
}

export class TemplateService implements TemplateStore {
  readonly #records: TemplateRecords;
  readonly #limits: TemplateServiceOptions['limits'];
  /** Content of the shipped templates by id: what the id means in this process. */
  readonly #shipped: ReadonlyMap<string, string>;

  private constructor(
    records: TemplateRecords,
    shipped: ReadonlyMap<string, string>,
    limits: TemplateServiceOptions['limits'],
  ) {
    this.#records = records;
    this.#shipped = shipped;
    this.#limits = limits;
  }

  /** Uses the database of a `JobService`. */
  static async open({ database, shipped, limits }: TemplateServiceOptions): Promise<TemplateService> {
    const records = new TemplateRecords(database);
    const written = shipped.map((template) => newTemplate(template, null));
    for (const template of written) await records.putShipped(template);
    return new TemplateService(records, new Map(written.map(({ id, sha256 }) => [id, sha256])), limits);
  }

  /** The available templates: shipped ones first, then by name. */
  async list(): Promise<TemplateRecord[]> {
    const [others, ...shipped] = await Promise.all([
      this.#records.current(),
      ...[...this.#shipped].map(([id, sha256]) => this.#records.findVersion(id, sha256)),
    ]);
    return [
      ...shipped.filter((found) => found !== undefined),
      ...others.filter(({ id }) => !this.#shipped.has(id)),
    ];
  }

  /** @param sha256 finds any version with that content, even a removed one. @throws TEMPLATE_NOT_FOUND */
  async find(id: string, sha256?: string): Promise<TemplateRecord> {
    const wanted = sha256 ?? this.#shipped.get(id);
    const found = await (wanted === undefined
      ? this.#records.findCurrent(id)
      : this.#records.findVersion(id, wanted));
    if (found) return found;
    throw new StainError(
      'TEMPLATE_NOT_FOUND',
      sha256 === undefined ? `There is no template "${id}".` : `Template "${id}" has no such version.`,
    );
  }

  async version(id: string, sha256?: string): Promise<TemplateVersion> {
    const found = await this.find(id, sha256).catch((error: unknown) => {
      if (sha256 === undefined || !(error instanceof StainError && error.code === 'TEMPLATE_NOT_FOUND'))
        throw error;
      throw new StainError(
        'TEMPLATE_CHANGED',
        `The content that template "${id}" had at the time of the request is no longer kept.`,
        { cause: error },
      );
    });
    return { id, sha256: found.sha256, ...parseContent(id, found.kind, found.content) };
  }

  /** Whether the version is the current one of its id. */
  isCurrent({ id, sha256, isShipped, removedAt }: TemplateRecord): boolean {
    const shipped = this.#shipped.get(id);
    return shipped === undefined ? !isShipped && removedAt === null : isShipped && shipped === sha256;
  }

  /** JPEG. @throws TEMPLATE_NOT_FOUND */
  async thumbnail(id: string, sha256?: string): Promise<Buffer> {
    return Buffer.from((await this.#records.thumbnail(await this.find(id, sha256))) ?? '', 'base64');
  }

  /** Refuses whatever `add` would refuse, as far as that is known beforehand. @throws like `add` */
  async requireRoom(id: string, editor: TemplateEditor, replace: boolean): Promise<void> {
    if (this.#shipped.has(id))
      throw new StainError('TEMPLATE_SHIPPED', `The template "${id}" comes with the product.`);
    const current = await this.#records.findCurrent(id);
    if (current && !replace) throw exists(id);
    if (current && !mayChange(current, editor)) throw forbidden(id);
    await this.#requireQuota(editor);
  }

  /**
   * With `replace`, different content becomes the next version, owned by whoever made the first one. If the template
   * already exists word for word, nothing changes.
   * @param source kept for users who may see that slide
   * @throws TEMPLATE_SHIPPED, TEMPLATE_EXISTS without `replace`, FORBIDDEN, TEMPLATE_LIMIT
   */
  async add(
    template: Template,
    source: TemplateSource | null,
    editor: TemplateEditor,
    replace: boolean,
  ): Promise<{ record: TemplateRecord; isNew: boolean }> {
    const made = newTemplate(template, source);
    const current = await this.#records.findCurrent(made.id);
    if (current && replace && mayChange(current, editor) && isSame(current, made))
      return { record: current, isNew: false };
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      await this.requireRoom(made.id, editor, replace);
      const record = await this.#records.insert(made, editor, replace);
      if (record) return { record, isNew: true };
    }
    throw exists(made.id);
  }

  /**
   * Imports a file of the service's folder, unless it was imported before, even if it was removed since.
   * @throws TEMPLATE_SHIPPED, TEMPLATE_EXISTS
   */
  async bringIn(template: Template): Promise<void> {
    const made = newTemplate(template, null);
    if (this.#shipped.has(made.id))
      throw new StainError('TEMPLATE_SHIPPED', `The template "${made.id}" comes with the product.`);
    if (await this.#records.findVersion(made.id, made.sha256)) return;
    if (await this.#records.insert(made, SERVICE, false)) return;
    // Another service that started at the same time may have been faster.
    if (!(await this.#records.findVersion(made.id, made.sha256))) throw exists(made.id);
  }

  /**
   * Number of jobs waiting or running with the template, and of batch series that will use it. They keep the version
   * they were requested with.
   */
  countUnfinished(id: string): Promise<number> {
    return this.#records.countUnfinished(id);
  }

  /**
   * Removes a template from the list. Versions to which something refers are kept.
   * @param confirmed otherwise a template that unfinished jobs use stays
   * @throws TEMPLATE_NOT_FOUND, TEMPLATE_SHIPPED, FORBIDDEN, TEMPLATE_IN_USE with the number of jobs
   */
  async remove(id: string, editor: TemplateEditor, confirmed: boolean): Promise<void> {
    const current = await this.find(id);
    if (current.isShipped)
      throw new StainError('TEMPLATE_SHIPPED', `The template "${id}" comes with the product.`);
    if (!mayChange(current, editor)) throw forbidden(id);
    const jobs = confirmed ? 0 : await this.countUnfinished(id);
    if (jobs > 0)
      throw new StainError(
        'TEMPLATE_IN_USE',
        `${jobs} unfinished ${jobs === 1 ? 'job uses' : 'jobs use'} template "${id}"; they would continue to use it.`,
        { data: { jobs } },
      );
    if (!(await this.#records.remove(id, editor)))
      throw new StainError('TEMPLATE_NOT_FOUND', `There is no template "${id}".`);
    await this.#records.purge();
  }

  async #requireQuota({ id }: TemplateEditor): Promise<void> {
    await this.#records.purge();
    const { templatesPerUser, templateBytes } = this.#limits;
    const { versions, bytes } = await this.#records.usage(id);
    if (versions >= templatesPerUser)
      throw new StainError(
        'TEMPLATE_LIMIT',
        `You have ${versions} templates, including those removed or replaced within the last day; the limit is ${templatesPerUser}.`,
        { data: { templates: versions, templatesPerUser } },
      );
    if (bytes >= templateBytes)
      throw new StainError('TEMPLATE_LIMIT', 'All templates together have reached their size limit.', {
        data: { bytes, templateBytes },
      });
  }
}

/** Whether somebody may replace or remove a template. */
export function mayChange(
  { owner, isShipped }: Pick<TemplateRecord, 'owner' | 'isShipped'>,
  { id, isAdministrator }: TemplateEditor,
): boolean {
  return !isShipped && (isAdministrator || (owner !== null && owner === id));
}

function newTemplate(template: Template, source: TemplateSource | null): NewTemplate {
  const { id, name, description, thumbnail, provenance } = template;
  const content = contentOf(template);
  return {
    id,
    sha256: sha256Of(TEMPLATE_KIND, content),
    kind: TEMPLATE_KIND,
    content,
    name,
    description,
    licence: provenance.licence,
    origin: publicOrigin(provenance.source),
    madeAt: provenance.createdAt,
    madeBy: provenance.createdBy,
    thumbnail,
    source,
  };
}

function isSame(record: TemplateRecord, made: NewTemplate): boolean {
  return (
    record.sha256 === made.sha256 &&
    record.name === made.name &&
    record.description === made.description &&
    record.licence === made.licence &&
    record.origin === made.origin
  );
}

function exists(id: string): StainError {
  return new StainError('TEMPLATE_EXISTS', `A template "${id}" exists already.`);
}

function forbidden(id: string): StainError {
  return new StainError(
    'FORBIDDEN',
    `Only the owner and administrators can change or remove template "${id}".`,
  );
}
