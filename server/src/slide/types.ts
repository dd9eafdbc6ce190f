/**
 * A whole-slide image as plain values: which levels it has and where each frame lies. No pixels, no I/O.
 * Terms follow DICOM PS3.3 C.8.12.4 (Whole Slide Microscopy Image) and C.8.12.14 (Microscope Slide Layer).
 */
import type { Reduction } from '../../../core/src/image/tile-grid.ts';
import type { LazyList } from '../../../core/src/lazy-list.ts';
import type { DataSet } from '../dicom/dataset.ts';

/** One DICOM instance of a level. A level has several when it is stored as a concatenation. */
export interface SlideInstance {
  readonly sopInstanceUid: string;
  readonly dataset: DataSet;
  readonly numberOfFrames: number;
}

/** Where to find the pixels of a tile: instance (index into `Level.instances`) and frame (0-based). */
export interface FrameAddress {
  readonly instance: number;
  readonly frame: number;
}

export interface Level {
  readonly role: 'base' | 'level' | 'thumbnail';
  /** In the order of In-concatenation Number; one entry unless the level is a concatenation. */
  readonly instances: readonly SlideInstance[];
  /** Frame size in pixels (Rows, Columns). */
  readonly rows: number;
  readonly columns: number;
  /** Size of the level in pixels (Total Pixel Matrix Rows/Columns). */
  readonly totalRows: number;
  readonly totalColumns: number;
  /** Millimetres per pixel (down, across); undefined if the header does not say. */
  readonly spacing: readonly [number, number] | undefined;
  /** Position of its first pixel on the glass slide, in millimetres; undefined if the header does not say. */
  readonly origin: { readonly x: number; readonly y: number } | undefined;
  readonly placement: Placement;
  /**
   * Upper left corner of every frame in the Total Pixel Matrix, 0-based, in stored order over all instances:
   * the derived level keeps exactly this number and order of frames.
   */
  readonly frames: LazyList<FramePosition>;
}

/** How a level lies over the base level; their upper left corners coincide. */
export interface Placement {
  readonly reduction: Reduction;
  /** The part of the Total Pixel Matrix that shows the slide. The rest pads the matrix to whole tiles. */
  readonly content: { readonly columns: number; readonly rows: number };
}

export interface FramePosition extends FrameAddress {
  /** 0-based column and row of the frame's upper left pixel in the Total Pixel Matrix. */
  readonly x: number;
  readonly y: number;
}

/** A whole slide: the levels of one series, from the finest (index 0, the base level) to the coarsest. */
export interface Slide {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /** The series holds other slides too, so its UID alone does not identify this one. */
  readonly isOneOfSeveral: boolean;
  readonly levels: readonly Level[];
  readonly thumbnail: Level | undefined;
  /** What was left out of the series, and why, in sentences. */
  readonly notes: readonly string[];
}
