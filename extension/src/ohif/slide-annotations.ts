/**
 * OHIF's annotations of slides (3.13): what is drawn, changed and removed with its tools and its panel, in a viewport or in a
 * second viewer over it. OHIF forgets them whenever a viewport mounts; here they can be put back.
 */
import type { Annotation } from '../annotations/annotation.ts';
import { applyChosenTool } from './gestures.ts';
import type {
  ManagedViewer,
  MicroscopyModule,
  MicroscopyService,
  RoiAnnotation,
  VolumeImageViewer,
} from './types.ts';
import { SECOND_VIEWPORT } from './viewer-host.ts';

/** What dicom-microscopy-viewer tells of a new graphic, on the element of its viewer. */
const ADDED = 'dicommicroscopyviewer_roi_added';

const CLASSES = { POINT: 'Point', POLYLINE: 'Polyline', POLYGON: 'Polygon', ELLIPSE: 'Ellipse' } as const;

export interface AnnotationListener {
  /** New, or with another shape or label. @param element of the viewer that it was drawn in, if that was here */
  changed(annotation: RoiAnnotation, element: HTMLElement | undefined): void;
  /** By the user. */
  removed(uid: string): void;
  /** OHIF has forgotten all. */
  forgotten(): void;
}

export class SlideAnnotations {
  readonly #service: MicroscopyService;
  readonly #module: MicroscopyModule;
  /** Where each was drawn. */
  readonly #elements = new Map<string, HTMLElement>();
  #linked = 0;

  constructor(service: MicroscopyService, module: MicroscopyModule) {
    this.#service = service;
    this.#module = module;
  }

  /** @param signal ends it */
  listen(listener: AnnotationListener, signal: AbortSignal): void {
    const service = this.#service;
    const clear = service.clearAnnotations;
    let isForgetting = false;
    service.clearAnnotations = () => {
      isForgetting = true;
      try {
        clear.call(service);
        // OHIF goes on styling what it has forgotten, without end, when the same UID is there again.
        service.selectedAnnotation = null;
      } finally {
        isForgetting = false;
      }
      listener.forgotten();
    };
    const subscriptions = [
      service.subscribe(service.EVENTS['ANNOTATION_UPDATED']!, (told) => {
        const annotation = told && service.getAnnotation(told.uid);
        if (annotation) listener.changed(annotation, this.#elements.get(annotation.uid));
      }),
      service.subscribe(service.EVENTS['ANNOTATION_REMOVED']!, (told) => {
        if (told && !isForgetting) listener.removed(told.uid);
      }),
    ];
    document.addEventListener(
      ADDED,
      ({ target, detail }: CustomEventInit & Pick<Event, 'target'>) => {
        const { uid } = detail.payload as { uid: string };
        // OHIF draws it in the other viewers next.
        if (!this.#elements.has(uid)) this.#elements.set(uid, target as HTMLElement);
      },
      // Before OHIF's own.
      { capture: true, signal },
    );
    signal.addEventListener(
      'abort',
      () => {
        service.clearAnnotations = clear;
        for (const subscription of subscriptions) subscription.unsubscribe();
        this.#elements.clear();
      },
      { once: true },
    );
  }

  /** Those of a list that OHIF has forgotten become annotations of a viewer again. */
  restore(viewer: ManagedViewer, annotations: Iterable<Annotation>, frameOfReferenceUid: string): void {
    const missing = [...annotations].filter(({ uid }) => !this.#service.getAnnotation(uid));
    for (const { uid, graphicType, points, label } of missing) {
      const scoord3d = new this.#module.scoord3d[CLASSES[graphicType]]({
        coordinates: graphicType === 'POINT' ? points[0]! : points,
        frameOfReferenceUID: frameOfReferenceUid,
      });
      viewer.addRoiGraphicWithLabel(new this.#module.roi.ROI({ scoord3d, uid }), label);
    }
    if (missing.length > 0) this.#service.synchronizeViewers(viewer);
  }

  /** Takes one away from all viewers, if it is there. */
  forget(uid: string): void {
    const annotation = this.#service.getAnnotation(uid);
    if (annotation) this.#service.removeAnnotation(annotation);
  }

  /**
   * OHIF's tools work in a second viewer too, and what is drawn in either is seen in both. OHIF keeps one viewer by name.
   * @returns ends it
   */
  link(first: ManagedViewer, second: VolumeImageViewer, container: HTMLElement): () => void {
    const { studyInstanceUID, seriesInstanceUID } = first;
    const managed = this.#service.addViewer(
      second,
      `${SECOND_VIEWPORT}-${++this.#linked}`,
      container,
      studyInstanceUID,
      seriesInstanceUID,
    );
    applyChosenTool(this.#service, managed);
    return () => this.#service.removeViewer(second);
  }
}
