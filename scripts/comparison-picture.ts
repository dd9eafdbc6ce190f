/** A before/after picture: original, template, normalised, side by side with captions. */
import sharp, { type OutputInfo, type OverlayOptions, type Sharp } from 'sharp';
import type { Raster } from '../core/src/image/raster.ts';
import type { Template } from '../core/src/stain/template-document.ts';

const HEIGHT = 720;
const CAPTION = 44;
const GAP = 12;

export async function writeComparison(
  path: string,
  { original, normalized, template }: { original: Raster; normalized: Raster; template: Template },
): Promise<void> {
  const pictures = [
    { caption: 'Original', image: await scaled(fromRaster(original)) },
    {
      caption: `Template: ${template.name}`,
      image: await scaled(sharp(Buffer.from(template.thumbnail, 'base64')), HEIGHT / 2),
    },
    { caption: 'Normalised', image: await scaled(fromRaster(normalized)) },
  ];
  let x = 0;
  const layers: OverlayOptions[] = [];
  for (const { caption, image } of pictures) {
    layers.push({ input: image.data, left: x, top: CAPTION });
    layers.push({ input: captionSvg(caption, image.info.width), left: x, top: 0 });
    x += image.info.width + GAP;
  }
  await sharp({ create: { width: x - GAP, height: HEIGHT + CAPTION, channels: 3, background: '#ffffff' } })
    .composite(layers)
    .png()
    .toFile(path);
}

function fromRaster({ width, height, rgb }: Raster): Sharp {
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}

function scaled(image: Sharp, height = HEIGHT): Promise<{ data: Buffer; info: OutputInfo }> {
  return image.resize({ height }).png().toBuffer({ resolveWithObject: true });
}

function captionSvg(text: string, width: number): Buffer {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return Buffer.from(
    `<svg width="${width}" height="${CAPTION}"><text x="2" y="30" font-family="sans-serif" font-size="20" fill="#222">${escaped}</text></svg>`,
  );
}
