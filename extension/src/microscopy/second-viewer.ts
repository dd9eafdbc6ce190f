/** A second slide viewer that shares the view of a first one: centre, resolution and rotation cannot differ. */
import { untilAborted } from '../../../core/src/abortable.ts';
import { retrieveMetadata } from '../ohif/series-metadata.ts';
import type { ManagedViewer, MicroscopyModule, VolumeImageViewer, WadoClient } from '../ohif/types.ts';
import { disposeOf, mapOf, type SlideMap, whenShown } from './open-layers.ts';

export interface SecondViewer {
  readonly map: SlideMap;
  /** To be called after its container was resized. */
  resize(): void;
  toggleProfile(): void;
  close(): void;
}

export interface SecondViewerOptions {
  readonly module: MicroscopyModule;
  readonly client: WadoClient;
  readonly series: { readonly studyInstanceUid: string; readonly seriesInstanceUid: string };
  readonly container: HTMLElement;
  /** The first viewer. Both slides must have the same geometry, as a derived one has by construction. */
  readonly first: ManagedViewer;
  /** Makes the viewer's tools work in both. @returns ends it */
  readonly link: (first: ManagedViewer, second: VolumeImageViewer, container: HTMLElement) => () => void;
  readonly signal: AbortSignal;
}

/** Flavours that a slide viewer shows (PS3.3 C.8.12.4.1.1): labels and overviews of the glass are not levels. */
const SHOWN = new Set(['VOLUME', 'THUMBNAIL']);

export async function openSecondViewer({
  module,
  client,
  series,
  container,
  first,
  link,
  signal,
}: SecondViewerOptions): Promise<SecondViewer> {
  const instances = await untilAborted(retrieveMetadata(client, series), signal);
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
  const map = mapOf(viewer);
  const own = map.getView();
  try {
    await whenShown(map, signal);
  } catch (error) {
    disposeOf(map);
    throw error;
  }
  map.setView(mapOf(first.viewer).getView());
  const unlink = link(first, viewer, container);
  return {
    map,
    resize: () => viewer.resize(),
    toggleProfile: () => viewer.toggleICCProfiles(),
    close() {
      unlink();
      // Detaches the shared view from this map; the first map keeps it.
      map.setView(own);
      disposeOf(map);
    },
  };
}
