/** What the routes about stains and templates need, from the parts of the composition. */
import pLimit from 'p-limit';
import type { StainRoutesOptions } from '../app/stain-routes.ts';
import type { TemplateRoutesOptions } from '../app/template-routes.ts';
import { type Composition, VERSION } from '../composition.ts';
import { StainError, toStainError } from '../errors.ts';
import type { TemplateService } from '../jobs/template-service.ts';
import type { NormalizationEnvironment } from '../normalization/normalize-series.ts';
import { previewRegion } from '../normalization/preview-region.ts';
import { makeSeriesTemplate, readSeriesStain } from '../normalization/series-stain.ts';
import { StainCache } from '../normalization/stain-cache.ts';
import { requireTemplateOf } from '../stain/template.ts';

const PREVIEW_QUALITY = 90;
/** Previews that are made at once, and that may be in work or wait: they share the network with the jobs. */
const PREVIEWS_AT_ONCE = 2;
const MOST_PREVIEWS = 16;

export function stainService(
  { network, model }: Composition,
  environment: NormalizationEnvironment,
  templates: Pick<TemplateService, 'list' | 'requireRoom' | 'add'>,
): Omit<StainRoutesOptions & TemplateRoutesOptions, 'basePath' | 'access' | 'templates' | 'models'> {
  const cache = new StainCache();
  const previews = pLimit(PREVIEWS_AT_ONCE);
  const stainOf: StainRoutesOptions['stainOf'] = async (series, name, signal) => {
    const opened = await network(name);
    const key = [series.studyInstanceUid, series.seriesInstanceUid, opened.model.sha256].join(' ');
    return cache.get(key, (fitSignal) => readSeriesStain(series, opened, environment, fitSignal), signal);
  };
  return {
    model,
    stainOf,
    async preview(wanted, signal) {
      const opened = await network(wanted.model);
      const template = await environment.template(wanted.template);
      requireTemplateOf(template, opened.model);
      if (previews.activeCount + previews.pendingCount >= MOST_PREVIEWS)
        throw new StainError('QUEUE_FULL', `${MOST_PREVIEWS} previews are in work already.`);
      return previews(async () => {
        signal.throwIfAborted();
        const found = await stainOf(wanted, wanted.model, signal);
        const { width, height, rgb } = await previewRegion(found, wanted, template, opened, signal);
        const format = { rows: height, columns: width, encoding: 'jpeg', quality: PREVIEW_QUALITY } as const;
        return environment.codecs.encode(rgb, format, signal);
      });
    },
    async createTemplate(wanted, editor, signal) {
      const { studyInstanceUid, seriesInstanceUid, region, replace, name, description, licence } = wanted;
      const id = wanted.id ?? (await freeId(name, templates));
      // Before the slide is read, which takes long.
      await templates.requireRoom(id, editor, replace);
      const provenance = {
        source: region ? 'a region of a series of this archive' : 'a series of this archive',
        licence,
        createdAt: new Date().toISOString(),
        createdBy: `stain-normalization ${VERSION}`,
      };
      const made = await makeSeriesTemplate(
        wanted,
        region,
        await network(wanted.model),
        environment,
        { id, name, description, provenance },
        signal,
      );
      const source = { studyInstanceUid, seriesInstanceUid, ...(region && { region }) };
      for (let named = made; ; named = { ...made, id: await freeId(name, templates) })
        try {
          return (await templates.add(named, source, editor, replace)).record;
        } catch (error) {
          // Somebody else took the name meanwhile, which this user has not insisted on.
          if (wanted.id !== undefined || toStainError(error).code !== 'TEMPLATE_EXISTS') throw error;
        }
    },
  };
}

/** The name in the letters of an id, with a number where it is taken. */
async function freeId(name: string, templates: Pick<TemplateService, 'list'>): Promise<string> {
  const taken = new Set((await templates.list()).map(({ id }) => id));
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const slug =
    plain
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 50) || 'template';
  for (let number = 1; ; number++) {
    const id = number === 1 ? slug : `${slug}-${number}`;
    if (!taken.has(id)) return id;
  }
}
