/** The error for a series of several slides, with what the client can request instead. */
import { StainError } from '../../../core/src/errors.ts';

/** A slide as described in the error. */
export interface ToldSlide {
  readonly container: string | undefined;
  readonly totalColumns: number;
  readonly totalRows: number;
  /** SOP Instance UID of its base level. */
  readonly slide: string;
  readonly sopInstanceUids: readonly string[];
}

/** @param doubt why none of them can be requested */
export function severalSlides(
  slides: readonly ToldSlide[],
  reasons: ReadonlySet<string>,
  doubt?: string,
): StainError {
  const named = slides.map(({ container, totalColumns, totalRows, slide }) => {
    const name = container === undefined ? 'one without a container identifier' : `container ${container}`;
    return `${name} (${totalColumns} x ${totalRows} pixels, ${slide})`;
  });
  const message = `The series contains images of ${slides.length} slides: ${named.join('; ')}. They differ in ${[...reasons].join(', ')}.`;
  return new StainError('SEVERAL_SLIDES', doubt === undefined ? message : `${message} ${doubt}`, {
    data: {
      slides: slides.map(({ slide, sopInstanceUids }) => ({
        ...(doubt === undefined && { slide }),
        sopInstanceUids,
      })),
    },
  });
}

/** The slides of a series that can be requested one by one, if that is why it was refused. */
export function slidesToAskFor(error: unknown): string[] {
  if (!(error instanceof StainError) || error.code !== 'SEVERAL_SLIDES') return [];
  const slides = error.data['slides'] as readonly { readonly slide?: string }[];
  return slides.flatMap(({ slide }) => slide ?? []);
}
