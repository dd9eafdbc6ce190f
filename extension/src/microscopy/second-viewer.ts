/** A second slide viewer that shares the view of a first one: centre, resolution and rotation cannot differ. */
import type { MicroscopyModule, VolumeImageViewer, WadoClient } from '../ohif/types.ts';
import { mapOf, type SlideMap } from './open-layers.ts';

export interface SecondViewer {
  readonly map: SlideMap;
  close(): void;
}

export interface SecondViewerOptions {
  readonly module: MicroscopyModule;
  readonly client: WadoClient;
  readonly series: { readonly studyInstanceUid: string; readonly seriesInstanceUid: string };
  readonly container: HTMLElement;
  /** The first viewer. Both slides must have the same geometry, as a derived one has by construction. */
  readonly first: SlideMap;
}

/** Flavours that a slide viewer shows (PS3.3 C.8.12.4.1.1): labels and overviews of the glass are no levels. */
const SHOWN = new Set(['VOLUME', 'THUMBNAIL']);

export async function openSecondViewer({
  module,
  client,
  series,
  container,
  first,
}: SecondViewerOptions): Promise<SecondViewer> {
  const instances = await client.retrieveSeriesMetadata({
    studyInstanceUID: series.studyInstanceUid,
    seriesInstanceUID: series.seriesInstanceUid,
  });
  const images = instances
    .map((metadata) => new module.metadata.VLWholeSlideMicroscopyImage({ metadata }))
    .filter(({ ImageType }) => SHOWN.has(ImageType[2] ?? ''));
  const viewer: VolumeImageViewer = new module.viewer.VolumeImageViewer({
    client,
    metadata: images,
    retrieveRendered: false,
    controls: [],
  });
  viewer.render({ container });
  // The first viewer's overview stands for both.
  container.querySelector<HTMLElement>('.ol-overviewmap')?.style.setProperty('display', 'none');
  // The same gestures as in OHIF's own viewport.
  viewer.activateDragPanInteraction({ bindings: { mouseButtons: ['left', 'middle'] } });
  const map = mapOf(viewer);
  map.setView(first.getView());
  return { map, close: () => viewer.cleanup() };
}
