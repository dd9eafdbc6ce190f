/**
 * The picture of a slide in the viewer's list of series. OHIF 3.13.2 makes none for a slide that comes into an open study: it
 * asks for its images first, under a name that slides do not have. After loading the page anew it does not ask.
 */
import type { DisplaySet, ExtensionManager, Services } from './types.ts';

const CORNERSTONE = '@ohif/extension-cornerstone.utilityModule.common';

/** Makes the picture as the viewer would, if the list has none yet. */
export async function addThumbnail(
  displaySet: DisplaySet,
  extensionManager: ExtensionManager,
  displaySetService: Services['displaySetService'],
): Promise<void> {
  if (displaySet.thumbnailSrc || !displaySet.getThumbnailSrc) return;
  const { utilities } = extensionManager
    .getModuleEntry(CORNERSTONE)
    .exports.getCornerstoneLibraries().cornerstone;
  const url = await displaySet.getThumbnailSrc({
    async getImageSrc(imageId) {
      const canvas = document.createElement('canvas');
      await utilities.loadImageToCanvas({ canvas, imageId, thumbnail: true });
      return canvas.toDataURL();
    },
  });
  if (!url) return;
  displaySet.thumbnailSrc = url;
  // The list is drawn anew; no viewport has to be.
  displaySetService.setDisplaySetMetadataInvalidated(displaySet.displaySetInstanceUID, false);
}
