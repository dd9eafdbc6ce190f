/** VL Whole Slide Microscopy Image Storage. */
export const WHOLE_SLIDE = '1.2.840.10008.5.1.4.1.1.77.1.6';

/** Maximum number of instances per slide. A pyramid has about ten images, some of several instances. */
export const MAX_INSTANCES = 1000;
