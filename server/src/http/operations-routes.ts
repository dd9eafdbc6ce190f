/** The operator's page, what its forms do, and the export of the audit trail. For administrators. */
import type { Request, Response } from 'express';
import { z } from 'zod';
import { isFinal } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import { DEFAULT_TRANSFER } from '../../../core/src/stain/transfer-name.ts';
import { write } from '../archive/multipart-response.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { BatchService } from '../jobs/batch-service.ts';
import type { JobService } from '../jobs/job-service.ts';
import { OutcomeRecords } from '../jobs/outcome-records.ts';
import { type Check, sharedChecks } from '../monitoring/checks.ts';
import type { RuleService } from '../rules/rule-service.ts';
import type { TemplateService } from '../templates/template-service.ts';
import { leaving } from '../web/leaving.ts';
import { setSubject } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { type Message, operationsPage } from './operations-page.ts';
import { PAGE_POLICY } from './page.ts';
import { parseInput } from './problem.ts';
import type { Route } from './route.ts';

const TAGS = ['Operations'];
/** Maximum number of rows of each table. */
const MAX_ROWS = 50;
const MAX_BATCHES = 20;
const LOOK_BACK_DAYS = 7;
const PAGE = '/api/operations.html';
const DAY_MS = 86_400_000;

const pageQuery = z.strictObject({ retried: z.coerce.number().int().min(0).max(1e6).optional() });
const idParameter = z.object({ id: z.uuid() });
const ruleParameter = z.object({ name: z.string().max(63) });
const lineQuery = z
  .strictObject({
    position: z.coerce.number().int().min(0).max(1e6),
    part: z.coerce.number().int().min(0).max(1e6),
  })
  .partial()
  .refine(({ position, part }) => (position === undefined) === (part === undefined), {
    message: 'give both position and part, or neither',
  });

export interface OperationsRoutesOptions {
  readonly basePath: string;
  readonly jobs: JobService;
  readonly batches: Pick<BatchService, 'list' | 'retry' | 'retryJob'>;
  readonly rules?: Pick<RuleService, 'report' | 'retry'> | undefined;
  readonly templates: Pick<TemplateService, 'list'>;
  readonly checks: Readonly<Record<string, Check>>;
  /** The archive behind the service: its URL without credentials, or its folder. */
  readonly archive?: { readonly name: string } | undefined;
  readonly audit: Partial<Pick<AuditTrail, 'read'>>;
  readonly hasViewer: boolean;
}

export function operationsRoutes(options: OperationsRoutesOptions): Route[] {
  const { basePath, jobs, batches, rules, templates, archive, audit, hasViewer } = options;
  const address = `${basePath}${PAGE}`;
  const outcomes = new OutcomeRecords(jobs.database);
  const runChecks = sharedChecks(options.checks);

  const send = async (response: Response, message?: Message): Promise<void> => {
    const since = new Date(Date.now() - LOOK_BACK_DAYS * DAY_MS);
    const [toLookAt, unfinished, { byState }, throughput, newest, ruleList, checks, listed] =
      await Promise.all([
        outcomes.toLookAt(since, MAX_ROWS + 1),
        jobs.queue(2 * MAX_ROWS),
        jobs.statistics(),
        outcomes.throughput(),
        batches.list(undefined),
        rules?.report(),
        runChecks(),
        templates.list(),
      ]);
    const found = {
      at: new Date().toISOString(),
      toLookAt,
      days: LOOK_BACK_DAYS,
      unfinished,
      byState,
      throughput,
      batches: newest.slice(0, MAX_BATCHES),
      rules: ruleList,
      archive: archive?.name,
      checks,
      templates: listed.slice(0, MAX_ROWS),
    };
    response
      // Without it, a browser would send a form of the page with "Origin: null", which is refused.
      .set({ 'Content-Security-Policy': PAGE_POLICY, 'Referrer-Policy': 'same-origin' })
      .type('html')
      .send(operationsPage(found, { basePath, hasViewer, maxRows: MAX_ROWS }, message));
  };

  /** What a form does: afterwards a browser sees the page again, which says how it went. */
  const afterwards = async (request: Request, response: Response, retry: () => Promise<number>) => {
    try {
      const retried = await retry();
      response.redirect(303, `${address}?retried=${retried}`);
    } catch (error) {
      const isBrowser = request.accepts(['json', 'html']) === 'html';
      if (!(error instanceof StainError) || !isBrowser || error.code === 'DATABASE_UNAVAILABLE') throw error;
      response.locals['code'] = error.code;
      await send(response.status(error.status), { fault: error });
    }
  };
  const responses = {
    303: { description: `Done; see ${address}, which says how many slides are tried again` },
  };

  return [
    {
      method: 'get',
      path: PAGE,
      scope: 'administer',
      page: PAGE,
      problems: ['REQUEST_INVALID'],
      operation: {
        tags: TAGS,
        summary: "The operator's page",
        requestParams: { query: pageQuery },
        responses: { 200: { description: 'A page', content: { 'text/html': { schema: z.string() } } } },
      },
      async handler(request, response) {
        const { retried } = parseInput(pageQuery, request.query);
        await send(response, retried === undefined ? undefined : { retried });
      },
    },
    {
      method: 'post',
      path: '/api/operations/normalizations/:id/retry',
      scope: 'administer',
      page: PAGE,
      audit: 'normalization-retried',
      problems: ['REQUEST_INVALID', 'JOB_NOT_FOUND', 'QUEUE_FULL', 'ARCHIVE_UNREACHABLE', 'ARCHIVE_TIMEOUT'],
      operation: {
        tags: TAGS,
        summary: 'Try a job again that failed or was cancelled',
        description:
          'Repeats its request, with the template, the slide and the software as they are now. In a batch, the new job takes the place of the old one.',
        requestParams: { path: idParameter },
        responses,
      },
      async handler(request, response) {
        await afterwards(request, response, async () => {
          const { id } = parseInput(idParameter, request.params);
          setSubject(response, { jobId: id });
          const { state, request: wanted } = await jobs.get(id);
          if (!isFinal(state) || state === 'COMPLETED') return 0;
          if (await batches.retryJob(id)) return 1;
          // What the job was pinned to is what may have changed.
          const {
            templateSha256,
            contentSha256,
            sourceSha256,
            transfer = DEFAULT_TRANSFER,
            ...again
          } = wanted;
          const { existing } = await jobs.create(
            { ...again, transfer },
            { requestedBy: principalOf(response).id, priority: 'interactive' },
            leaving(response),
          );
          return existing ? 0 : 1;
        });
      },
    },
    {
      method: 'post',
      path: '/api/operations/batches/:id/retry',
      scope: 'administer',
      page: PAGE,
      audit: 'batch-retried',
      problems: ['REQUEST_INVALID', 'BATCH_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'Try whatever was refused or failed in a batch again, or one line of a batch or rule',
        requestParams: { path: idParameter, query: lineQuery },
        responses,
      },
      async handler(request, response) {
        await afterwards(request, response, async () => {
          const { id } = parseInput(idParameter, request.params);
          const { position, part } = parseInput(lineQuery, request.query);
          setSubject(response, { batchId: id });
          return batches.retry(id, position === undefined ? undefined : { position, part: part! });
        });
      },
    },
    {
      method: 'post',
      path: '/api/operations/rules/:name/retry',
      scope: 'administer',
      page: PAGE,
      audit: 'rule-retried',
      problems: ['REQUEST_INVALID', 'RULE_NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'Try everything again that a rule has parked',
        requestParams: { path: ruleParameter },
        responses,
      },
      async handler(request, response) {
        await afterwards(request, response, async () => {
          const { name } = parseInput(ruleParameter, request.params);
          if (!rules) throw new StainError('RULE_NOT_FOUND', 'The service has no rules.');
          return rules.retry(name);
        });
      },
    },
    {
      method: 'get',
      path: '/api/audit.ndjson',
      scope: 'administer',
      page: PAGE,
      audit: 'audit-exported',
      problems: ['NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'The audit trail of this process since its file was last rotated',
        responses: {
          200: {
            description: 'FHIR AuditEvent resources as sealed lines; "audit verify" reads them',
            content: { 'application/x-ndjson': { schema: z.string() } },
          },
        },
      },
      async handler(_request, response) {
        const lines = await audit.read?.();
        if (!lines)
          throw new StainError('NOT_FOUND', 'This process keeps no audit trail in a file (audit.file).');
        response.attachment('audit.ndjson').type('application/x-ndjson');
        for await (const bytes of lines) await write(response, bytes);
        response.end();
      },
    },
  ];
}
