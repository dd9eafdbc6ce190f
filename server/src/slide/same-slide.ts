/**
 * Which images of a series show the same glass slide. A series should hold one (DICOM PS3.3 A.32.8), but archives and
 * converters put two into one, and pixels of the one must never get the header of the other.
 *
 * No attribute alone is enough: containers are often blank, frames of reference of one slide sometimes differ, and a
 * rescan of a container is another image of it. So images are told apart by what cannot be true of one slide.
 */
import type { DataSet } from '../dicom/dataset.ts';
import { StainError } from '../errors.ts';
import type { Level } from './types.ts';

/** What converters write where they know no container. */
const NO_CONTAINER = new Set([
  '',
  '0',
  'unknown',
  'none',
  'n/a',
  'na',
  'null',
  'undefined',
  'anonymous',
  'anonymized',
]);

/** Two spacings closer than this are one: the steps of a pyramid are twice as large or more, seldom 1.4 times. */
const SAME_SPACING = 0.02;

interface Evidence {
  readonly container: string | undefined;
  readonly pyramid: string | undefined;
  readonly frameOfReference: string | undefined;
  readonly acquired: string | undefined;
}

/**
 * @param levels of volume images, in any order
 * @throws SEVERAL_SLIDES, which names each of them, where they are not of one slide
 */
export function requireOneSlide(levels: readonly Level[]): void {
  const slides: Level[][] = [];
  const reasons = new Set<string>();
  for (const level of levels) {
    const ofSame = slides.find((slide) =>
      slide.every((other) => {
        const reason = difference(level, other);
        if (reason) reasons.add(reason);
        return reason === undefined;
      }),
    );
    if (ofSame) ofSame.push(level);
    else slides.push([level]);
  }
  if (slides.length <= 1) return;
  const named = slides.map(([finest]) => {
    const container = evidenceOf(finest!).container;
    return `${container === undefined ? 'one without a container identifier' : `container ${container}`} (${finest!.totalColumns} x ${finest!.totalRows} pixels)`;
  });
  throw new StainError(
    'SEVERAL_SLIDES',
    `The series holds images of ${slides.length} slides: ${named.join('; ')}. They differ in ${[...reasons].join(', ')}.`,
    {
      data: {
        slides: slides.map((slide) => ({
          sopInstanceUids: slide.flatMap(({ instances }) =>
            instances.map(({ sopInstanceUid }) => sopInstanceUid),
          ),
        })),
      },
    },
  );
}

/** Why two images cannot be levels of one scan of one slide; undefined where they can. */
function difference(a: Level, b: Level): string | undefined {
  const [one, other] = [evidenceOf(a), evidenceOf(b)];
  const differs = (key: keyof Evidence): boolean =>
    one[key] !== undefined && other[key] !== undefined && one[key] !== other[key];
  if (differs('container')) return 'Container Identifier';
  if (differs('pyramid')) return 'Pyramid UID';
  // A rescan. Alone, each of the two differs between the levels of one slide too.
  if (differs('frameOfReference') && differs('acquired'))
    return 'Frame of Reference UID and Acquisition DateTime';
  if (!a.spacing || !b.spacing) return undefined;
  if (Math.abs(a.spacing[0] / b.spacing[0] - 1) < SAME_SPACING)
    return 'that two of one Pixel Spacing are not one pyramid';
  return undefined;
}

function evidenceOf(level: Level): Evidence {
  const header = level.instances[0]!.dataset;
  const container = text(header, 'ContainerIdentifier');
  return {
    container: container && !NO_CONTAINER.has(container.toLowerCase()) ? container : undefined,
    pyramid: text(header, 'PyramidUID'),
    frameOfReference: text(header, 'FrameOfReferenceUID'),
    acquired: text(header, 'AcquisitionDateTime'),
  };
}

function text(header: DataSet, keyword: string): string | undefined {
  return header.string(keyword)?.trim() || undefined;
}
