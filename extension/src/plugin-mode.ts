/** The mode as a file that OHIF loads at run time, beside the extension. */
import { createMode } from './mode.ts';

export default createMode(new URL('stain-normalization.mjs', import.meta.url).pathname);
