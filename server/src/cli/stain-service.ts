/** What the routes about stains and templates need, from the parts of the composition. */
import { withDeadline } from '../abortable.ts';
import type { StainRoutesOptions } from '../app/stain-routes.ts';
import type { TemplateRoutesOptions } from '../app/template-routes.ts';
import { type Composition, VERSION } from '../composition.ts';
import { StainError, toStainError } from '../errors.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { TemplateService } from '../jobs/template-service.ts';
import type { NormalizationEnvironment } from '../normalization/normalize-series.ts';
import type { SlideReference } from '../normalization/open-series.ts';
import { previewRegion } from '../normalization/preview-region.ts';
import { requireStainOfHe } from '../normalization/require-he.ts';
import { makeSeriesTemplate, readSeriesStain, type SeriesStain } from '../normalization/series-stain.ts';
import { StainCache } from '../normalization/stain-cache.ts';
import { requireTemplateOf } from '../stain/template.ts';
import { Turns } from '../turns.ts';

const PREVIEW_QUALITY = 90;

export function stainService(
  { config, network, model }: Composition,
  environment: NormalizationEnvironment,
  templates: Pick<TemplateService, 'list' | 'requireRoom' | 'add'>,
): Omit<StainRoutesOptions & TemplateRoutesOptions, 'basePath' | 'access' | 'templates' | 'models'> {
  const cache = new StainCache();
  const { fitsAtOnce, fitsPerUser, fitTimeoutSeconds } = config.limits;
  // They share codecs and network with each other and with the jobs.
  const turns = new Turns({
    atOnce: fitsAtOnce,
    atOnceOfOne: Math.ceil(fitsAtOnce / 2),
    mostOfOne: fitsPerUser,
    // However many look at it: a slide that the archive does not show holds up those who look at it, and nobody else.
    atOnceOfSubject: Math.ceil(fitsAtOnce / 2),
  });
  const deadline = {
    seconds: fitTimeoutSeconds,
    late: (cause: unknown) =>
      new StainError('FIT_TIMED_OUT', `Looking at the slide took more than ${fitTimeoutSeconds} s.`, {
        data: { seconds: fitTimeoutSeconds },
        cause,
      }),
  };
  /** In the requester's turn, and in time. */
  const inTurn = <T>(
    requester: string,
    { studyInstanceUid, seriesInstanceUid }: SlideReference,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> =>
    turns.take(
      requester,
      signal,
      () => withDeadline(deadline, signal, work),
      `${studyInstanceUid} ${seriesInstanceUid}`,
    );
  const keyOf = (series: SlideReference, { sha256 }: LoadedModel): string =>
    [series.studyInstanceUid, series.seriesInstanceUid, series.slide, sha256].join(' ');
  /** Within a turn. A fit that several wait for has a deadline of its own: who comes late does not make it longer. */
  const fitted = (series: SlideReference, opened: StainNetwork, signal: AbortSignal): Promise<SeriesStain> =>
    cache.get(
      keyOf(series, opened.model),
      (shared) => withDeadline(deadline, shared, (s) => readSeriesStain(series, opened, environment, s)),
      signal,
    );
  return {
    model,
    async stainOf(series, name, requester, signal) {
      const opened = await network(name);
      // What is there needs no turn.
      const kept = cache.kept(keyOf(series, opened.model));
      return kept ?? inTurn(requester, series, signal, (inTime) => fitted(series, opened, inTime));
    },
    async preview(wanted, requester, signal) {
      const opened = await network(wanted.model);
      const template = await environment.template(wanted.template);
      requireTemplateOf(template, opened.model);
      return inTurn(requester, wanted, signal, async (inTime) => {
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
      const made = await inTurn(editor.id ?? 'service', wanted, signal, (inTime) =>
        makeSeriesTemplate(wanted, region, opened, environment, told, wanted, inTime),
      );
      const source = {
        studyInstanceUid,
        seriesInstanceUid,
        ...(slide && { slide }),
        ...(region && { region }),
      };
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
      .replace(/^-|-$/g, '')
      .slice(0, 50) || 'template';
  for (let number = 1; ; number++) {
    const id = number === 1 ? slug : `${slug}-${number}`;
    if (!taken.has(id)) return id;
  }
}
