/**
 * The annotations of slides, whichever picture of a slide they are drawn on: seen on all of them, kept while other series are
 * shown, and stored as a report when the user says so.
 */
import { type Annotation, annotationOf } from '../annotations/annotation.ts';
import { makeReport, type Report, readReport } from '../annotations/report.ts';
import type { Comparison, Side } from '../comparison/comparison.ts';
import { keepAnnotationsOnTop } from '../microscopy/annotations-on-top.ts';
import { SlideAnnotations } from '../ohif/slide-annotations.ts';
import type { ManagedViewer, RoiAnnotation, VolumeImageViewer } from '../ohif/types.ts';
import { PluginError } from '../plugin-error.ts';
import type { AnnotationsStatus, SlideSeries } from '../state.ts';
import { language } from '../strings/language.ts';
import { translate } from '../strings/translate.ts';
import type { SessionContext } from './context.ts';
import { whatIsShown } from './what-is-shown.ts';

export const NO_ANNOTATIONS: AnnotationsStatus = { list: [], isKept: true, isKeeping: false };

/** Of one source slide. */
interface AnnotatedSlide {
  readonly list: Map<string, Annotation>;
  /** Those in the archive. */
  kept: readonly Annotation[];
  /** The reports in the archive that no other replaces, the newest last. */
  reports: readonly Report[];
  /** SOP Instance UIDs of all that were looked at, and of those that others replace. */
  readonly known: Set<string>;
  readonly replaced: Set<string>;
}

export class Annotating {
  readonly #context: SessionContext;
  readonly #comparison: () => Comparison | undefined;
  readonly #templateName: (id: string) => string;
  /** By the series of the source. What is not stored yet stays here while other studies and modes are looked at. */
  readonly #slides = new Map<string, AnnotatedSlide>();
  #mode: AbortSignal | undefined;
  /** The mode that it was begun in. */
  #listening: AbortSignal | undefined;
  #annotations: SlideAnnotations | undefined;

  /** @param comparison the one that is open now */
  constructor(
    context: SessionContext,
    comparison: () => Comparison | undefined,
    templateName: (id: string) => string,
  ) {
    this.#context = context;
    this.#comparison = comparison;
    this.#templateName = templateName;
  }

  /** Begins when a slide is shown. @param signal ends it with the mode */
  open(signal: AbortSignal): void {
    this.#mode = signal;
    this.look();
  }

  /** Takes note of what the viewer shows now, and of new reports. */
  look(): void {
    const { source } = this.#context.state;
    if (!this.#annotations) {
      if (source) this.#listen();
      return;
    }
    if (source) this.#read(source);
    this.#restore();
    this.#tell();
  }

  #listen(): void {
    const signal = this.#mode;
    if (!signal || this.#listening === signal) return;
    this.#listening = signal;
    void this.#context.attempt(async () => {
      const { host } = this.#context;
      const module = await host.microscopyModule();
      if (signal.aborted) return;
      keepAnnotationsOnTop(signal);
      const annotations = new SlideAnnotations(host.services.microscopyService!, module);
      annotations.listen(
        {
          changed: (annotation, element) => this.#changed(annotation, element),
          removed: (uid) => this.#removed(uid),
          forgotten: () => this.#restore(),
        },
        signal,
      );
      // Annotations that are not kept outlive the mode. A listener that is added twice is called once.
      window.addEventListener('beforeunload', this.#ask);
      this.#annotations = annotations;
      const end = (): void => {
        this.#annotations = undefined;
      };
      signal.addEventListener('abort', end, { once: true });
      this.look();
    }, signal);
  }

  /** OHIF's tools in a second viewer over the first. @returns ends it */
  link(first: ManagedViewer, second: VolumeImageViewer, container: HTMLElement): () => void {
    return this.#annotations?.link(first, second, container) ?? (() => {});
  }

  keep(): void {
    void this.#context.act(async () => {
      const { host, state } = this.#context;
      const { source } = state;
      const slide = source && this.#slides.get(source.seriesInstanceUid);
      const base = source && host.baseInstance(source);
      if (!source || !slide || !base || state.annotations.isKeeping) return;
      const annotations = [...slide.list.values()];
      const report = makeReport({
        annotations: annotations.length > 0 ? annotations : slide.kept,
        areWithdrawn: annotations.length === 0,
        source: base,
        replaced: slide.reports,
        seriesNumber: host.nextSeriesNumber(source.studyInstanceUid),
        seriesDescription: translate('annotations.title'),
        language,
        observer: host.userName(),
        now: new Date(),
      });
      this.#tell({ isKeeping: true });
      try {
        await host.store(report, () => {
          slide.known.add(report['SOPInstanceUID']);
          slide.kept = annotations;
          this.#add(slide, [readReport(report, base)!]);
        });
      } catch (error) {
        throw new PluginError('ANNOTATIONS_NOT_KEPT', {}, error);
      } finally {
        this.#tell({ isKeeping: false });
      }
    });
  }

  #slideOf(source: string): AnnotatedSlide {
    const found = this.#slides.get(source) ?? newSlide();
    this.#slides.set(source, found);
    return found;
  }

  /** Series come into a study one after the other, and the one that replaces another may come last. */
  #read(source: SlideSeries): void {
    const { host } = this.#context;
    const slide = this.#slideOf(source.seriesInstanceUid);
    const base = host.baseInstance(source);
    const headers = host.reports().filter((header) => !slide.known.has(header['SOPInstanceUID']));
    if (!base || headers.length === 0) return;
    for (const header of headers) slide.known.add(header['SOPInstanceUID']);
    this.#add(
      slide,
      headers.map((header) => readReport(header, base)).filter((report) => report !== undefined),
    );
  }

  /** What the user has changed or removed since it was read stays so. */
  #add(slide: AnnotatedSlide, reports: readonly Report[]): void {
    for (const report of reports) for (const uid of report.replaced) slide.replaced.add(uid);
    slide.reports = [...slide.reports, ...reports]
      .filter(({ sopInstanceUid }) => !slide.replaced.has(sopInstanceUid))
      .sort((one, other) => one.at.localeCompare(other.at));
    const now = new Map(slide.reports.flatMap(({ annotations }) => annotations.map((one) => [one.uid, one])));
    const touched = new Set(
      slide.kept.filter((one) => !areSame(slide.list.get(one.uid), one)).map(({ uid }) => uid),
    );
    for (const one of slide.kept) {
      if (touched.has(one.uid)) continue;
      slide.list.delete(one.uid);
      if (!areSame(now.get(one.uid), one)) this.#annotations?.forget(one.uid);
    }
    for (const one of now.values()) if (!touched.has(one.uid)) slide.list.set(one.uid, one);
    slide.kept = [...now.values()];
  }

  #changed(annotation: RoiAnnotation, element: HTMLElement | undefined): void {
    const { host, state } = this.#context;
    // One that OHIF itself shows from a report belongs to the report.
    const series = host.allSeries().find((one) => one.seriesInstanceUid === annotation.seriesInstanceUID);
    if (!series) return;
    const { list } = this.#slideOf(sourceOf(series));
    const known = list.get(annotation.uid);
    const side: Side | undefined = element && this.#comparison()?.sideOf(element);
    const now = annotationOf(annotation, known?.shown ?? whatIsShown(state, side, this.#templateName));
    if (!now || areSame(now, known)) return;
    list.set(now.uid, now);
    this.#tell();
  }

  #removed(uid: string): void {
    for (const { list } of this.#slides.values()) list.delete(uid);
    this.#tell();
  }

  #restore(): void {
    const { host } = this.#context;
    for (const viewer of host.viewers()) {
      const series = host.seriesOf(viewer);
      // A viewport that shows a report shows what the report says.
      if (!series || series.seriesInstanceUid !== viewer.seriesInstanceUID) continue;
      const slide = this.#slides.get(sourceOf(series));
      const frameOfReference = host.baseInstance(series)?.['FrameOfReferenceUID'];
      if (slide && frameOfReference)
        this.#annotations?.restore(viewer, slide.list.values(), frameOfReference);
    }
  }

  #tell(more: Partial<AnnotationsStatus> = {}): void {
    const { state, change } = this.#context;
    const slide = state.source && this.#slides.get(state.source.seriesInstanceUid);
    const { isKeeping } = state.annotations;
    const now = slide
      ? { list: [...slide.list.values()], isKept: isKept(slide), isKeeping, ...more }
      : { ...NO_ANNOTATIONS, isKeeping, ...more };
    if (JSON.stringify(now) !== JSON.stringify(state.annotations)) change({ annotations: now });
  }

  /** Before the page is closed, as far as the browser lets us. */
  readonly #ask = (event: BeforeUnloadEvent): void => {
    if (![...this.#slides.values()].every(isKept)) event.preventDefault();
  };
}

function newSlide(): AnnotatedSlide {
  return { list: new Map(), kept: [], reports: [], known: new Set(), replaced: new Set() };
}

function areSame(one: Annotation | undefined, other: Annotation | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function isKept({ list, kept }: AnnotatedSlide): boolean {
  return JSON.stringify([...list.values()]) === JSON.stringify(kept);
}

/** The source of a derived slide, otherwise the slide. */
function sourceOf({ derived, seriesInstanceUid }: SlideSeries): string {
  return derived?.sourceSeriesInstanceUid ?? seriesInstanceUid;
}
