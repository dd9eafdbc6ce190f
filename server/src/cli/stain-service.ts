/** What the routes about stains and templates need, from the parts of the composition. */
import pLimit from 'p-limit';
import type { StainRoutesOptions } from '../app/stain-routes.ts';
import { type Composition, VERSION } from '../composition.ts';
import { StainError } from '../errors.ts';
import type { NormalizationEnvironment } from '../normalization/normalize-series.ts';
import { previewRegion } from '../normalization/preview-region.ts';
import { makeSeriesTemplate, readSeriesStain } from '../normalization/series-stain.ts';
import { StainCache } from '../normalization/stain-cache.ts';
import type { TemplateStore } from '../normalization/template-store.ts';
import { requireTemplateOf, templateId } from '../stain/template.ts';

const PREVIEW_QUALITY = 90;
/** Previews that are made at once, and that may be in work or wait: they share the network with the jobs. */
const PREVIEWS_AT_ONCE = 2;
const MOST_PREVIEWS = 16;

export function stainService(
  { network, model, templates }: Composition,
  environment: NormalizationEnvironment,
): Omit<StainRoutesOptions, 'basePath' | 'access'> {
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
      const template = await templates.get(wanted.template);
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
    async createTemplate(wanted, signal) {
      const { region, name, description, licence } = wanted;
      const id = wanted.id ?? (await freeId(name, templates));
      if (!templateId.safeParse(id).success)
        throw new StainError('REQUEST_INVALID', 'A template id has lower-case letters, digits and hyphens.');
      const place = region ? `, region ${region.width} x ${region.height} at ${region.x}, ${region.y}` : '';
      const provenance = {
        source: `series ${wanted.seriesInstanceUid}${place}`,
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
      await templates.add(made, { replace: false });
      return made;
    },
    removeTemplate: (id) => templates.remove(id),
  };
}

/** The name in the letters of an id, with a number where it is taken. */
async function freeId(name: string, templates: TemplateStore): Promise<string> {
  const taken = new Set((await templates.list()).map(({ id }) => id));
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const slug =
    plain
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 50) || 'template';
  for (let number = 1; ; number++) {
    const id = number === 1 ? slug : `${slug}-${number}`;
    if (!taken.has(id)) return id;
  }
}
