/** Assembles what the routes for stains and templates need from the parts of the composition. */

import { toStainError } from '../../../core/src/errors.ts';
import { requireTemplateOf } from '../../../core/src/stain/template.ts';
import type { StainRoutesOptions } from '../http/stain-routes.ts';
import type { TemplateRoutesOptions } from '../http/template-routes.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import type { Looks } from '../pipeline/looks.ts';
import { previewRegion } from '../pipeline/preview-region.ts';
import { requireStainOfHe } from '../pipeline/require-he.ts';
import type { SlideOfArchive } from '../pipeline/series-reference.ts';
import { makeSeriesTemplate, readSeriesStain, type SeriesStain } from '../pipeline/series-stain.ts';
import { SharedResults } from '../sharing/shared-results.ts';
import type { TemplateService } from '../templates/template-service.ts';
import { type Composition, VERSION } from './composition.ts';

const PREVIEW_QUALITY = 90;

export function stainService(
  { network, model }: Composition,
  environmentOf: (source: string | undefined) => NormalizationEnvironment,
  looks: Looks,
  templates: Pick<TemplateService, 'list' | 'requireRoom' | 'add'>,
): Omit<StainRoutesOptions & TemplateRoutesOptions, 'basePath' | 'access' | 'templates' | 'models'> {
  // A stain is a few numbers, and its colour table 0.4 MB; the headers of its slide may take ten.
  const cache = new SharedResults<SeriesStain>({ max: 16 });
  const keyOf = (series: SlideOfArchive, { sha256 }: LoadedModel): string =>
    [series.source, series.studyInstanceUid, series.seriesInstanceUid, series.slide, sha256].join(' ');
  /** Runs within a turn. A fit shared by several users has its own time limit: latecomers do not extend it. */
  const fitted = (series: SlideOfArchive, opened: StainNetwork, signal: AbortSignal): Promise<SeriesStain> =>
    cache.get(
      keyOf(series, opened.model),
      (shared) =>
        looks.inTime(shared, (inTime) =>
          readSeriesStain(series, opened, environmentOf(series.source), inTime),
        ),
      signal,
    );
  return {
    model,
    async stainOf(series, name, requester, signal) {
      const opened = await network(name);
      // A cached stain needs no turn.
      const kept = cache.kept(keyOf(series, opened.model));
      return kept ?? looks.inTurn(requester, series, signal, (inTime) => fitted(series, opened, inTime));
    },
    async preview(wanted, requester, signal) {
      const opened = await network(wanted.model);
      const environment = environmentOf(wanted.source);
      const template = await environment.template(wanted.template);
      requireTemplateOf(template, opened.model);
      return looks.inTurn(requester, wanted, signal, async (inTime) => {
        const found = await fitted(wanted, opened, inTime);
        requireStainOfHe(found.series.slide, found.fit, wanted);
        const { width, height, rgb } = await previewRegion(found, wanted, template, opened, inTime);
        const format = { rows: height, columns: width, encoding: 'jpeg', quality: PREVIEW_QUALITY } as const;
        return environment.codecs.encode(rgb, format, inTime);
      });
    },
    async createTemplate(wanted, editor, signal) {
      const { studyInstanceUid, seriesInstanceUid, slide, region, replace, name, description, licence } =
        wanted;
      const id = wanted.id ?? (await freeId(name, templates));
      // Before the slide is read, which takes long.
      await templates.requireRoom(id, editor, replace);
      const provenance = {
        source: region ? 'a region of a series of this archive' : 'a series of this archive',
        licence,
        createdAt: new Date().toISOString(),
        createdBy: `stain-normalization ${VERSION}`,
      };
      const opened = await network(wanted.model);
      const told = { id, name, description, provenance };
      const made = await looks.inTurn(editor.id ?? 'service', wanted, signal, (inTime) =>
        makeSeriesTemplate(wanted, region, opened, environmentOf(wanted.source), told, wanted, inTime),
      );
      const source = {
        studyInstanceUid,
        seriesInstanceUid,
        ...(slide && { slide }),
        ...(region && { region }),
        ...(wanted.source !== undefined && { source: wanted.source }),
      };
      for (let named = made; ; named = { ...made, id: await freeId(name, templates) })
        try {
          return (await templates.add(named, source, editor, replace)).record;
        } catch (error) {
          // Somebody else took the name in the meantime, and this user did not insist on it.
          if (wanted.id !== undefined || toStainError(error).code !== 'TEMPLATE_EXISTS') throw error;
        }
    },
  };
}

/** The name reduced to the characters of an id, with a number if it is taken. */
async function freeId(name: string, templates: Pick<TemplateService, 'list'>): Promise<string> {
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
