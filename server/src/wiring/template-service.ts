/** Assembles the templates of a process that serves or works from the parts of the composition. */
import type { Logger } from 'pino';
import { toStainError } from '../../../core/src/errors.ts';
import type { JobService } from '../jobs/job-service.ts';
import { readTemplate } from '../templates/read-template.ts';
import { templateFiles, templateText } from '../templates/template-folder.ts';
import { TemplateService } from '../templates/template-service.ts';
import type { Composition } from './composition.ts';

export async function openTemplateService(
  { config, templates }: Composition,
  { database }: JobService,
): Promise<TemplateService> {
  return TemplateService.open({ database, shipped: await templates.shipped(), limits: config.limits });
}

/**
 * Imports the files of templates.directory into the database, each once. A file that cannot be imported is logged, and
 * does not keep the service from starting.
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
      await templates.bringIn(await readTemplate(await templateText(file), file, installed));
    } catch (thrown) {
      const { code } = toStainError(thrown);
      log.warn({ file, code }, 'a template of templates.directory is not used');
    }
}
