/** The error on a series of several slides, and what whoever asked for it can ask for instead. */
import { StainError } from '../errors.ts';

/** A slide as the error tells of it. */
export interface ToldSlide {
  readonly container: string | undefined;
  readonly totalColumns: number;
  readonly totalRows: number;
  /** SOP Instance UID of its base level. */
  readonly slide: string;
  readonly sopInstanceUids: readonly string[];
}

/** @param doubt why none of them can be asked for */
export function severalSlides(
  slides: readonly ToldSlide[],
  reasons: ReadonlySet<string>,
  doubt?: string,
): StainError {
  const named = slides.map(({ container, totalColumns, totalRows, slide }) => {
    const name = container === undefined ? 'one without a container identifier' : `container ${container}`;
    return `${name} (${totalColumns} x ${totalRows} pixels, ${slide})`;
  });
  const message = `The series holds images of ${slides.length} slides: ${named.join('; ')}. They differ in ${[...reasons].join(', ')}.`;
  return new StainError('SEVERAL_SLIDES', doubt === undefined ? message : `${message} ${doubt}`, {
    data: {
      slides: slides.map(({ slide, sopInstanceUids }) => ({
        ...(doubt === undefined && { slide }),
        sopInstanceUids,
      })),
    },
  });
}

/** The slides of a series that can be asked for one by one, where that is why it was refused. */
export function slidesToAskFor(error: unknown): string[] {
  if (!(error instanceof StainError) || error.code !== 'SEVERAL_SLIDES') return [];
  const slides = error.data['slides'] as readonly { readonly slide?: string }[];
  return slides.flatMap(({ slide }) => slide ?? []);
}
