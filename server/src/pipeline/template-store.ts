/** Where templates are kept: as files for the command line, in the database for services and workers. */
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { TemplateVersion } from '../../../core/src/stain/template.ts';
import type { SlideReference } from './series-reference.ts';

export interface TemplateStore {
  /**
   * The target of the normalisation: the current template with that id, or the one with exactly that content.
   * @throws TEMPLATE_NOT_FOUND, TEMPLATE_OUTDATED; TEMPLATE_CHANGED if that content is not kept
   */
  version(id: string, sha256?: string): Promise<TemplateVersion>;
}

/** The slide from which a template was made. Only for users who may see that slide. */
export interface TemplateSource extends SlideReference {
  /** In pixels of the base level; undefined for the whole slide. */
  readonly region?: Rectangle | undefined;
}
