/** Makes previews and difference views: frames from the viewer's client, the network in a worker, tiles over the slide. */
import { untilAborted } from '../../core/src/abortable.ts';
import type { Model, Stain, Template } from '../../core/src/contract/index.ts';
import type { Rectangle } from '../../core/src/image/windows.ts';
import { windowAround } from '../../core/src/image/windows.ts';
import type { LinearTables } from '../../core/src/stain/linear-tables.ts';
import { linearTransfer, paperTransfer } from '../../core/src/stain/transfer.ts';
import { createMapSurface } from './microscopy/map-surface.ts';
import { mapOf } from './microscopy/open-layers.ts';
import { captionOverview } from './microscopy/overview-caption.ts';
import { retrieveMetadata } from './ohif/series-metadata.ts';
import type { ManagedViewer, NaturalizedInstance, WadoClient } from './ohif/types.ts';
import type { ViewerHost } from './ohif/viewer-host.ts';
import { PluginError } from './plugin-error.ts';
import { differenceGradient, LARGEST_DIFFERENCE } from './preview/difference-scale.ts';
import { FrameSource } from './preview/frame-source.ts';
import { normalizedClient } from './preview/normalized-client.ts';
import { type SlideLevel, type SlideLevels, slideLevels } from './preview/slide-levels.ts';
import type { Surface } from './preview/surface.ts';
import { TileOverlay, type TileProgress } from './preview/tile-overlay.ts';
import type { Tile } from './preview/visible-tiles.ts';
import { WorkerQueue } from './preview/worker-queue.ts';
import { isSameSlide } from './service/archive-names.ts';
import type { ServiceClient } from './service/service-client.ts';
import type { PreviewStatus, SlideSeries } from './state.ts';
import { formatCount } from './strings/language.ts';
import { translate } from './strings/translate.ts';

/**
 * Side of the rectangle that is fitted if the service is unreachable, in pixels of the level that shows most of the
 * slide.
 */
const FITTED = 512;

export interface SeriesPixels {
  readonly series: SlideSeries;
  readonly instances: readonly NaturalizedInstance[];
}

export interface PreviewOptions extends SeriesPixels {
  readonly template: TargetStain;
  /** The slide's stain from the service. */
  stain(): Promise<Stain>;
  /** Time of the user's request, in milliseconds of performance.now(). */
  readonly pressed: number;
  readonly signal: AbortSignal;
  onStatus(status: Partial<PreviewStatus>): void;
  onError(error: unknown): void;
}

export interface LivePreview {
  /** Without it the slide below is seen as it is. */
  setVisible(isVisible: boolean): void;
  close(): void;
}

/** A slide that is normalised by tables: a viewer shows it like any other. */
export interface MappedSlide {
  readonly client: WadoClient;
  readonly colours: SlideColours;
  readonly tables: LinearTables;
}

/** What has been fetched of a slide, for the next template. */
interface FetchedSlide {
  readonly series: SlideSeries;
  readonly source: FrameSource;
  readonly metadata: Promise<readonly object[]>;
}

export interface PreviewFactoryOptions {
  readonly host: ViewerHost;
  readonly client: ServiceClient;
  readonly model: string;
  /** URL of the folder with the worker and the runtime, with a slash at its end. */
  readonly plugins: string;
}

interface Network {
  readonly queue: WorkerQueue;
  readonly model: Model;
  readonly executionProvider: 'webgpu' | 'wasm';
}

/** Statistics of the template that is previewed. */
export type TargetStain = Pick<Stain, 'classes' | 'densities' | 'glassDensity'> &
  Pick<Template, 'id' | 'name'>;

/** What the frames of a slide contain, and the lattice from that to sRGB. */
export interface SlideColours {
  readonly native: Stain['nativeColours'];
  readonly table: Uint8Array | null;
}

interface FittedStain
  extends Pick<Stain, 'classes' | 'densities' | 'glassDensity' | 'glassColour'>,
    SlideColours {
  readonly origin: 'service' | 'visible';
}

export class PreviewFactory {
  readonly #options: PreviewFactoryOptions;
  #worker: WorkerQueue | undefined;
  #network: Promise<Network> | undefined;
  #fetched: FetchedSlide | undefined;
  #ended = new AbortController();

  constructor(options: PreviewFactoryOptions) {
    this.#options = options;
  }

  /** Draws tiles of the published transfer over a viewer. */
  async start(options: PreviewOptions & { readonly viewer: ManagedViewer }): Promise<LivePreview> {
    const { series, instances, viewer, template, pressed, signal, onStatus, onError } = options;
    const levels = slideLevels(instances);
    const source = new FrameSource(series, () => this.#options.host.wadoClient());
    const network = await this.#open(signal);
    const { model, queue, executionProvider } = network;
    onStatus({ executionProvider });
    const stain = await this.#stain(options, levels, source);
    onStatus({ statistics: stain.origin });
    signal.throwIfAborted();
    const transfer = paperTransfer(stain, template, model.classNames);
    const surface = createMapSurface(mapOf(viewer.viewer), viewer.container);
    const uncaption = captionOverview(viewer.container, translate('viewport.original'));
    let isFirst = true;
    const overlay = new TileOverlay({
      surface,
      levels,
      async produce(tile, tileSignal) {
        const level = levels[tile.level]!;
        const core = coreOf(level, tile);
        const plane = { width: level.totalColumns, height: level.totalRows };
        const { native, table, glassColour: glass } = stain;
        const window = await source.window(level, windowAround(core, plane, model), native, tileSignal);
        const bitmap = await tileFrom(
          queue,
          { kind: 'normalize', window, core, table, glass, transfer },
          tileSignal,
        );
        if (isFirst) onStatus({ firstTileMs: performance.now() - pressed });
        isFirst = false;
        return bitmap;
      },
      onProgress: ({ done, total, isWhole }) =>
        onStatus({ state: 'on', tilesDone: done, tilesTotal: total, isWhole }),
      onError: (error) => onError(previewFailed(error)),
    });
    return {
      setVisible(isVisible) {
        surface.element.style.visibility = isVisible ? '' : 'hidden';
      },
      close() {
        overlay.dispose();
        surface.dispose();
        uncaption();
      },
    };
  }

  /** Normalises a slide by one map of its optical density, which needs the network only where the service is away. */
  async mapSlide(options: PreviewOptions): Promise<MappedSlide> {
    const { series, instances, template, pressed, signal, onStatus, onError } = options;
    const { source, metadata } = this.#fetch(series);
    // It loads while the stain is fitted.
    this.#queue();
    const stain = await this.#stain(options, slideLevels(instances), source);
    onStatus({ statistics: stain.origin });
    const { native, table } = stain;
    const { tables } = linearTransfer(stain, template);
    let isFirst = true;
    const client = normalizedClient({
      instances,
      source,
      native,
      metadata: () => metadata,
      map: async (window, mapSignal) => {
        const answer = await this.#queue().ask({ kind: 'map', window, table, tables }, mapSignal);
        if (answer.kind !== 'pixels') throw new Error(answer.kind);
        if (isFirst) onStatus({ firstTileMs: performance.now() - pressed });
        isFirst = false;
        return answer.rgb;
      },
      signal,
      onProgress: ({ done, total }) => onStatus({ tilesDone: done, tilesTotal: total }),
      onError: (error) => onError(previewFailed(error)),
    });
    return { client, colours: { native, table }, tables };
  }

  #fetch(series: SlideSeries): FetchedSlide {
    if (this.#fetched && isSameSlide(this.#fetched.series, series)) return this.#fetched;
    const { host } = this.#options;
    const metadata = retrieveMetadata(host.wadoClient(), series);
    // A failure is met by who waits for it, and the next asks again.
    metadata.catch(() => {
      if (this.#fetched?.metadata === metadata) this.#fetched = undefined;
    });
    this.#fetched = { series, source: new FrameSource(series, () => host.wadoClient()), metadata };
    return this.#fetched;
  }

  /** Draws the difference of a slide and what was made of it over a surface; returns a function that ends it. */
  showDifference(
    surface: Surface,
    legend: HTMLElement,
    {
      against,
      normalized,
      stain,
      onProgress,
      onError,
    }: {
      /** The original, or another result of it. */
      against: SeriesPixels;
      normalized: SeriesPixels | MappedSlide;
      /** The original's, for its colours; asked for where two series are compared. Undefined between two results. */
      stain: (() => Promise<Stain>) | undefined;
      onProgress(progress: TileProgress): void;
      onError(error: unknown): void;
    },
  ): () => void {
    writeLegend(legend);
    const own = slideLevels(against.instances);
    const others = 'tables' in normalized ? own : slideLevels(normalized.instances);
    // Not every level of the original need be derived.
    const levels = own.filter((level) => others.some((other) => isAsLarge(other, level)));
    const ended = new AbortController();
    const colours =
      'tables' in normalized
        ? Promise.resolve(normalized.colours)
        : stain
          ? stain().then((found) => this.#coloursOf(found, ended.signal))
          : Promise.resolve({ native: null, table: null });
    colours.catch(() => {}); // met by the tiles
    const client = () => this.#options.host.wadoClient();
    const before = new FrameSource(against.series, client);
    const after = 'tables' in normalized ? undefined : new FrameSource(normalized.series, client);
    const queue = this.#queue();
    const overlay = new TileOverlay({
      surface,
      levels,
      async produce(tile, signal) {
        const level = levels[tile.level]!;
        const core = coreOf(level, tile);
        const { native, table } = await colours;
        const [a, b] = await Promise.all([
          before.window(level, core, native, signal),
          'tables' in normalized
            ? normalized.tables
            : after!.window(others.find((other) => isAsLarge(other, level))!, core, null, signal),
        ]);
        return tileFrom(queue, { kind: 'difference', against: a, table, normalized: b }, signal);
      },
      onProgress,
      onError: (error) => onError(previewFailed(error)),
    });
    return () => {
      ended.abort();
      overlay.dispose();
    };
  }

  /** Ends the worker and releases its resources. */
  close(): void {
    this.#ended.abort(new Error('closed'));
    this.#ended = new AbortController();
    this.#worker?.close();
    this.#worker = undefined;
    this.#network = undefined;
    this.#fetched = undefined;
  }

  #queue(): WorkerQueue {
    // A broken worker has lost its network too.
    if (this.#worker?.isBroken) this.close();
    this.#worker ??= new WorkerQueue(
      new Worker(new URL('preview-worker.mjs', this.#options.plugins), { type: 'module' }),
    );
    return this.#worker;
  }

  /** The worker with the network in it, shared: no caller's signal aborts it for the others. */
  async #open(signal: AbortSignal): Promise<Network> {
    const queue = this.#queue();
    this.#network ??= this.#load(queue, this.#ended.signal);
    const network = this.#network;
    try {
      return await untilAborted(network, signal);
    } catch (error) {
      // The next caller meets the failure again; another may have started already.
      if (!signal.aborted && this.#network === network) this.#network = undefined;
      throw error;
    }
  }

  async #load(queue: WorkerQueue, signal: AbortSignal): Promise<Network> {
    const { client, model: name, plugins } = this.#options;
    const model = await client.model(name, signal);
    const [apply, statistics] = await Promise.all([
      client.bytes(model.graphs.apply.url, signal),
      client.bytes(model.graphs.statistics.url, signal),
    ]);
    const request = {
      kind: 'open',
      graphs: { apply, statistics },
      wasmPaths: new URL('ort/', plugins).href,
    } as const;
    const answer = await queue.ask(request, signal).catch((cause: Error) => {
      throw new PluginError('PREVIEW_FAILED', { reason: cause.message }, cause);
    });
    if (answer.kind !== 'opened') throw new PluginError('PREVIEW_FAILED', { reason: answer.kind });
    return { queue, model, executionProvider: answer.executionProvider };
  }

  async #coloursOf({ colourTable, nativeColours }: Stain, signal: AbortSignal): Promise<SlideColours> {
    const table = colourTable === null ? null : await this.#options.client.bytes(colourTable, signal);
    return { native: nativeColours, table };
  }

  async #stain(
    { stain, signal }: PreviewOptions,
    levels: SlideLevels,
    source: FrameSource,
  ): Promise<FittedStain> {
    try {
      const found = await stain();
      return { ...found, ...(await this.#coloursOf(found, signal)), origin: 'service' };
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
    }
    const {
      queue,
      model: { alignment },
    } = await this.#open(signal);
    const level =
      levels.findLast(({ totalColumns, totalRows }) => Math.min(totalColumns, totalRows) >= FITTED) ??
      levels[0]!;
    const [width, height] = [level.totalColumns, level.totalRows].map((total) =>
      Math.min(FITTED, total - (total % alignment)),
    );
    const middle = (total: number, size: number): number => Math.max(0, Math.floor((total - size) / 2));
    const middlePart = {
      x: middle(level.totalColumns, width!),
      y: middle(level.totalRows, height!),
      width: width!,
      height: height!,
    };
    const window = await source.window(level, middlePart, null, signal);
    const fitted = await queue.ask({ kind: 'fit', window, table: null }, signal);
    if (fitted.kind !== 'fitted') throw new PluginError('PREVIEW_FAILED', { reason: fitted.kind });
    const { density, colour } = fitted.glass;
    return {
      classes: fitted.classes,
      densities: fitted.densities,
      glassDensity: density,
      glassColour: colour,
      native: null,
      table: null,
      origin: 'visible',
    };
  }
}

function previewFailed(cause: unknown): PluginError {
  return new PluginError('PREVIEW_FAILED', { reason: (cause as Error).message }, cause);
}

const isAsLarge = (a: SlideLevel, b: SlideLevel): boolean =>
  a.totalColumns === b.totalColumns && a.totalRows === b.totalRows;

function coreOf({ columns, rows, totalColumns, totalRows }: SlideLevel, { column, row }: Tile): Rectangle {
  const [x, y] = [column * columns, row * rows];
  return { x, y, width: Math.min(columns, totalColumns - x), height: Math.min(rows, totalRows - y) };
}

async function tileFrom(
  queue: WorkerQueue,
  request: Parameters<WorkerQueue['ask']>[0],
  signal: AbortSignal,
): Promise<ImageBitmap> {
  const answer = await queue.ask(request, signal);
  if (answer.kind !== 'tile') throw new Error(answer.kind);
  return answer.bitmap;
}

function writeLegend(legend: HTMLElement): void {
  const title = document.createElement('div');
  title.textContent = translate('comparison.difference.scale');
  const bar = document.createElement('div');
  bar.style.cssText = `width:200px;height:12px;margin:4px 0;background:${differenceGradient}`;
  const ends = document.createElement('div');
  ends.style.cssText = 'display:flex;justify-content:space-between';
  const [zero, half, full] = [0, LARGEST_DIFFERENCE / 2, LARGEST_DIFFERENCE].map(formatCount);
  for (const end of [zero!, half!, `≥ ${full}`]) {
    const number = document.createElement('span');
    number.textContent = end;
    ends.append(number);
  }
  legend.append(title, bar, ends);
}
