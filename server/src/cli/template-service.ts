/** The templates of a process that serves or works, from the parts of the composition. */
import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Composition } from '../composition.ts';
import { toStainError } from '../errors.ts';
import type { JobService } from '../jobs/job-service.ts';
import { TemplateService } from '../jobs/template-service.ts';
import { readTemplate } from '../normalization/read-template.ts';
import { templateFiles } from '../normalization/template-folder.ts';

export async function openTemplateService(
  { config, templates }: Composition,
  { database }: JobService,
): Promise<TemplateService> {
  return TemplateService.open({ database, shipped: await templates.shipped(), limits: config.limits });
}

/**
 * Brings the files of templates.directory into the database, each once. What cannot be brought in is told in the log, and
 * keeps no service from starting.
 */
export async function bringInTemplates(
  { config, models }: Composition,
  templates: Pick<TemplateService, 'bringIn'>,
  log: Logger,
): Promise<void> {
  const files = await templateFiles(config.templates.directory);
  if (files.length === 0) return;
  const installed = await models();
  for (const file of files)
    try {
      await templates.bringIn(await readTemplate(await readFile(file, 'utf8'), file, installed));
    } catch (thrown) {
      const { code } = toStainError(thrown);
      log.warn({ file, code }, 'a template of templates.directory is not used');
    }
}
