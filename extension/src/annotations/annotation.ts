/** An annotation as it is kept: it belongs to the source slide, whichever of its pictures it was drawn on. */
import type { Point3D, RoiAnnotation } from '../ohif/types.ts';

export const GRAPHIC_TYPES = ['POINT', 'POLYLINE', 'POLYGON', 'ELLIPSE'] as const;
export type GraphicType = (typeof GRAPHIC_TYPES)[number];

export interface Annotation {
  readonly uid: string;
  readonly graphicType: GraphicType;
  /** In the source's frame of reference. */
  readonly points: readonly Point3D[];
  /** Empty without one. */
  readonly label: string;
  /** In words: what was on the screen where it was drawn. */
  readonly shown: string;
}

export function isGraphicType(type: string): type is GraphicType {
  return (GRAPHIC_TYPES as readonly string[]).includes(type);
}

/** Undefined for a graphic that reports cannot have. @param shown said if it is new */
export function annotationOf(
  { uid, label, roiGraphic: { scoord3d } }: RoiAnnotation,
  shown: string,
): Annotation | undefined {
  const { graphicType, graphicData } = scoord3d;
  if (!isGraphicType(graphicType)) return undefined;
  const points = (typeof graphicData[0] === 'number' ? [graphicData] : graphicData) as readonly Point3D[];
  return { uid, graphicType, points: points.map(rounded), label: label ?? '', shown };
}

/**
 * A point as the viewer says it once an annotation is selected: to a tenth of a micrometre. Reports hold 32-bit numbers,
 * and what differs no more than that was not changed by anybody.
 */
export function rounded(point: Point3D): Point3D {
  return point.map((value) => Number(value.toFixed(4))) as unknown as Point3D;
}
