/** Templates over HTTP: list them, make one from a slide or from a document, remove one. */
import express, { type Request, type Response } from 'express';
import { z } from 'zod';
import {
  nameOfTemplate,
  sha256Text,
  TEMPLATE_MEDIA_TYPE,
  type Template,
  template,
  templateAdd,
  templateCreate,
  templateDetail,
  templateList,
} from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import { parseContent } from '../../../core/src/stain/template.ts';
import { type TemplateContent, templateDocument } from '../../../core/src/stain/template-document.ts';
import { type Access, requireAccess } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import { readTemplate } from '../templates/read-template.ts';
import type { TemplateEditor, TemplateRecord } from '../templates/template-records.ts';
import { mayChange, type TemplateService } from '../templates/template-service.ts';
import { leaving } from '../web/leaving.ts';
import { setSubject } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { parseBody } from './json-body.ts';
import { parseInput } from './problem.ts';
import { json, type Route } from './route.ts';
import { SLIDE_PROBLEMS } from './stain-routes.ts';

const TAGS = ['Templates'];
/** The picture takes up most of it. */
const DOCUMENT_LIMIT = '256kb';
const idParameter = z.object({ id: nameOfTemplate });
const versionQuery = z.strictObject({
  sha256: sha256Text
    .optional()
    .meta({ description: 'SHA-256 of the content of a version; also finds replaced and removed versions' }),
});
const removeQuery = z.strictObject({
  confirm: z.enum(['true', 'false']).default('false').meta({
    description:
      'Remove the template even if unfinished jobs use it; they keep the version they were requested with',
  }),
});

export interface TemplateRoutesOptions {
  readonly basePath: string;
  readonly access: Access;
  readonly templates: Pick<
    TemplateService,
    | 'list'
    | 'find'
    | 'version'
    | 'thumbnail'
    | 'isCurrent'
    | 'add'
    | 'requireRoom'
    | 'countUnfinished'
    | 'remove'
  >;
  models(): Promise<readonly LoadedModel[]>;
  /** Makes a template from a slide. @throws whatever `TemplateService.add` throws, before the slide is read */
  createTemplate(
    wanted: z.infer<typeof templateCreate>,
    editor: TemplateEditor,
    signal: AbortSignal,
  ): Promise<TemplateRecord>;
}

/** The permissions of a principal on templates. */
export function editorOf({ id, scopes }: Principal): TemplateEditor {
  return { id, isAdministrator: scopes.has('administer') };
}

export function templateRoutes(options: TemplateRoutesOptions): Route[] {
  const { basePath, access, templates } = options;
  const root = `${basePath}/api/templates`;

  const tell = (record: TemplateRecord, principal: Principal): Template => {
    const { id, version, sha256, name, description, licence, origin, owner } = record;
    const editor = editorOf(principal);
    const isOwn = owner === principal.id;
    const content = contentOf(record);
    const { model, classes, densities, glassDensity } = content ?? {
      model: null,
      classes: [],
      densities: [],
      glassDensity: null,
    };
    return {
      id,
      version,
      sha256,
      name,
      description,
      thumbnail: `${root}/${encodeURIComponent(id)}/thumbnail?sha256=${sha256}`,
      model,
      provenance: { source: origin, licence, createdAt: record.madeAt, createdBy: record.madeBy },
      classes,
      densities,
      glassDensity,
      own: isOwn,
      mayRemove: mayChange(record, editor),
      shipped: record.isShipped,
      current: templates.isCurrent(record),
      usable: content !== undefined,
      ...((isOwn || editor.isAdministrator) && { owner }),
    };
  };

  const asked = (request: Request) => ({
    id: parseInput(idParameter, request.params).id,
    sha256: parseInput(versionQuery, request.query).sha256,
  });
  const version = { requestParams: { path: idParameter, query: versionQuery } };

  const made = (response: Response, record: TemplateRecord, isNew: boolean): void => {
    setSubject(response, { template: record.id });
    response
      .status(isNew ? 201 : 200)
      .location(`${root}/${encodeURIComponent(record.id)}`)
      .json(tell(record, principalOf(response)));
  };

  return [
    {
      method: 'get',
      path: '/api/templates',
      scope: 'read',
      operation: {
        tags: TAGS,
        summary: 'Templates: the stains to which slides can be normalised',
        responses: { 200: json('All available templates', templateList) },
      },
      async handler(_request, response) {
        const principal = principalOf(response);
        response.json({ templates: (await templates.list()).map((found) => tell(found, principal)) });
      },
    },
    {
      method: 'get',
      path: '/api/templates/:id',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'TEMPLATE_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'A template, or one of its versions',
        description:
          'The slide from which it was made is included for users who may see that slide. A version that derived series ' +
          'name can still be fetched by its hash after it was replaced or removed.',
        ...version,
        responses: { 200: json('The template', templateDetail) },
      },
      async handler(request, response) {
        const { id, sha256 } = asked(request);
        const found = await templates.find(id, sha256);
        const principal = principalOf(response);
        const { source } = found;
        // If the archive is away, nobody may see the source.
        const maySee = source !== null && (await access.canRead(principal, source).catch(() => false));
        const told = tell(found, principal);
        response.json({
          ...told,
          // Jobs of all users: only for users who may remove the template, and are asked to confirm that.
          ...(told.mayRemove && { unfinishedJobs: await templates.countUnfinished(id) }),
          ...(maySee && { source }),
        });
      },
    },
    {
      method: 'get',
      path: '/api/templates/:id/thumbnail',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'TEMPLATE_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'A picture of the stain',
        ...version,
        responses: {
          200: {
            description: 'JPEG',
            content: { 'image/jpeg': { schema: z.string().meta({ format: 'binary' }) } },
          },
        },
      },
      async handler(request, response) {
        const { id, sha256 } = asked(request);
        const picture = await templates.thumbnail(id, sha256);
        response.set('Cache-Control', 'private, no-cache').type('image/jpeg').send(picture);
      },
    },
    {
      method: 'post',
      path: '/api/templates',
      scope: 'normalize',
      audit: 'template-made',
      problems: [...SLIDE_PROBLEMS, 'TEMPLATE_EXISTS', 'TEMPLATE_SHIPPED', 'TEMPLATE_LIMIT'],
      operation: {
        tags: TAGS,
        summary: 'Make a template from a series or a region of it',
        requestBody: { required: true, content: { 'application/json': { schema: templateCreate } } },
        responses: { 201: json('The template', template) },
      },
      async handler(request, response) {
        const wanted = parseBody(templateCreate, request);
        const { studyInstanceUid, seriesInstanceUid, source: archive } = wanted;
        const principal = principalOf(response);
        setSubject(response, { studyInstanceUid, seriesInstanceUid, archive });
        await requireAccess(access, principal, wanted);
        made(response, await options.createTemplate(wanted, editorOf(principal), leaving(response)), true);
      },
    },
    {
      method: 'put',
      path: '/api/templates/:id',
      scope: 'normalize',
      audit: 'template-made',
      problems: [
        'REQUEST_INVALID',
        'PAYLOAD_TOO_LARGE',
        'TEMPLATE_INVALID',
        'TEMPLATE_OUTDATED',
        'TEMPLATE_EXISTS',
        'TEMPLATE_SHIPPED',
        'TEMPLATE_LIMIT',
        'MODEL_INVALID',
      ],
      operation: {
        tags: TAGS,
        summary: 'Import a template made elsewhere',
        description:
          'The document that `template add` writes. Its picture is encoded again, and UIDs are removed from its origin.',
        requestParams: { path: idParameter, query: templateAdd },
        requestBody: {
          required: true,
          content: { [TEMPLATE_MEDIA_TYPE]: { schema: templateDocument.meta({ id: 'TemplateDocument' }) } },
        },
        responses: {
          201: json('The template', template),
          200: json('The template already exists', template),
        },
      },
      async handler(request, response) {
        const { id } = parseInput(idParameter, request.params);
        const replace = parseInput(templateAdd, request.query).replace === 'true';
        setSubject(response, { template: id });
        const editor = editorOf(principalOf(response));
        await templates.requireRoom(id, editor, replace);
        const document = await readTemplate(
          await textOf(request, response),
          'The document',
          await options.models(),
        );
        if (document.id !== id)
          throw new StainError('REQUEST_INVALID', 'The document contains a template with a different id.');
        const { record, isNew } = await templates.add(document, null, editor, replace);
        made(response, record, isNew);
      },
    },
    {
      method: 'delete',
      path: '/api/templates/:id',
      scope: 'normalize',
      audit: 'template-removed',
      problems: ['REQUEST_INVALID', 'TEMPLATE_NOT_FOUND', 'TEMPLATE_SHIPPED', 'TEMPLATE_IN_USE'],
      operation: {
        tags: TAGS,
        summary: 'Remove one of your own templates; administrators can remove any',
        description:
          'If unfinished jobs use it, confirm=true is required; the jobs keep the version they were requested with.',
        requestParams: { path: idParameter, query: removeQuery },
        responses: { 204: { description: 'Removed' } },
      },
      async handler(request, response) {
        const { id } = parseInput(idParameter, request.params);
        const isConfirmed = parseInput(removeQuery, request.query).confirm === 'true';
        setSubject(response, { template: id });
        await templates.remove(id, editorOf(principalOf(response)), isConfirmed);
        response.status(204).end();
      },
    },
  ];
}

/** Undefined for a kind of content that is no longer supported: it hides no other template. */
function contentOf({ id, kind, content }: TemplateRecord): TemplateContent | undefined {
  try {
    return parseContent(id, kind, content);
  } catch {
    return undefined;
  }
}

const readText = express.text({ limit: DOCUMENT_LIMIT, type: TEMPLATE_MEDIA_TYPE });

/** Reads the body here and not earlier: it is larger than that of other routes. @throws PAYLOAD_TOO_LARGE */
async function textOf(request: Request, response: Response): Promise<string> {
  if (!request.is(TEMPLATE_MEDIA_TYPE))
    throw new StainError('REQUEST_INVALID', `The body must have the media type ${TEMPLATE_MEDIA_TYPE}.`);
  await new Promise<void>((resolve, reject) =>
    readText(request, response, (error?: unknown) => (error ? reject(error) : resolve())),
  );
  return typeof request.body === 'string' ? request.body : '';
}
