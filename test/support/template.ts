/** Templates for tests: documents that a service accepts, each with different content. */

import { contentOf, sha256Of, TEMPLATE_KIND } from '../../core/src/stain/template.ts';
import type { Template } from '../../core/src/stain/template-document.ts';
import type { TemplateRecord } from '../../server/src/templates/template-records.ts';

/** A JPEG of one grey pixel. */
export const THUMBNAIL =
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q==';

/** @param seed another number gives another content */
export function templateOf(id: string, seed = 0, changes: Partial<Template> = {}): Template {
  const classes: Template['classes'] = Array.from({ length: 3 }, (_, i) => ({
    share: [0.4, 0.3, 0.3][i]!,
    mean: [1 - i / 4 + seed / 1000, -0.2, 0.3],
    sd: [0.2, 0.1, 0.1],
  }));
  return {
    schemaVersion: 2,
    id,
    name: `Template ${id}`,
    description: 'A stain.',
    model: { name: 'reference', version: '1', sha256: 'a'.repeat(64) },
    glassDensity: 0.02,
    classes,
    densities: classes.map(({ share }) => ({
      share,
      mean: [0.3, 0.5, 0.2],
      covariance: [
        [0.02, 0, 0],
        [0, 0.02, 0],
        [0, 0, 0.02],
      ],
    })),
    pixels: 1000,
    thumbnail: THUMBNAIL,
    provenance: {
      source: 'pictures',
      licence: 'CC0-1.0',
      createdAt: '2026-01-01T00:00:00Z',
      createdBy: 'stain-normalization 0.1.0',
    },
    ...changes,
  };
}

/** As a store returns it. */
export function recordOf(template: Template, changes: Partial<TemplateRecord> = {}): TemplateRecord {
  const content = contentOf(template);
  return {
    id: template.id,
    version: 1,
    sha256: sha256Of(TEMPLATE_KIND, content),
    kind: TEMPLATE_KIND,
    content,
    name: template.name,
    description: template.description,
    licence: template.provenance.licence,
    origin: template.provenance.source,
    madeAt: template.provenance.createdAt,
    madeBy: template.provenance.createdBy,
    source: null,
    owner: null,
    isShipped: false,
    createdAt: '2026-01-01T00:00:00.000Z',
    removedAt: null,
    ...changes,
  };
}
