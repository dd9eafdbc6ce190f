/** Where templates are kept: as files for the command line, in the database for services and workers. */
import type { Rectangle } from '../slide/windows.ts';
import type { TemplateVersion } from '../stain/template.ts';
import type { SlideReference } from './open-series.ts';

export interface TemplateStore {
  /**
   * What a slide is moved onto: the template of that id as it is now, or with exactly that content.
   * @throws TEMPLATE_NOT_FOUND, TEMPLATE_OUTDATED; TEMPLATE_CHANGED where the content is not kept
   */
  version(id: string, sha256?: string): Promise<TemplateVersion>;
}

/** The slide that a template was made of. Only for those who may see that slide. */
export interface TemplateSource extends SlideReference {
  /** In pixels of the base level; the whole slide without it. */
  readonly region?: Rectangle | undefined;
}
