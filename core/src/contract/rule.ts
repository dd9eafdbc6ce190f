/** Rules: slides that are normalised without anybody asking. */
import { z } from 'zod';
import { usedArchives } from './archive.ts';
import { batchSeries } from './batch.ts';
import { normalizationCreate } from './normalization.ts';

const { studyInstanceUid, seriesInstanceUid, transfer } = normalizationCreate.shape;

export const ruleState = z.enum(['STARTING', 'OPEN', 'OUT OF HOURS', 'DISABLED', 'FAULTY']).meta({
  description:
    'STARTING: not examined yet. OPEN: its series are processed as they arrive. OUT OF HOURS: its series wait. DISABLED: switched off in the file. FAULTY: it cannot be applied at the moment, see its code; its series wait.',
});
export type RuleState = z.infer<typeof ruleState>;

export const rule = z
  .object({
    name: z.string(),
    state: ruleState,
    code: z.string().nullable().meta({ description: 'Why it is FAULTY' }),
    message: z.string().nullable(),
    match: z.array(z.object({ keyword: z.string(), values: z.array(z.string()) })),
    outcome: z.enum(['fit', 'store']),
    template: z.string(),
    model: z.string(),
    transfer: transfer.unwrap(),
    ...usedArchives,
    priority: z.enum(['high', 'normal', 'low']),
    hours: z
      .object({
        from: z.string(),
        to: z.string(),
        days: z.array(z.string()).optional(),
        timeZone: z.string().optional(),
      })
      .nullable(),
    since: z.iso.date().nullable(),
    createdAt: z.iso.datetime().nullable().meta({ description: 'When the service first saw it' }),
    counts: z.record(z.string(), z.number()).meta({ description: 'Number of its series by state' }),
    lagSeconds: z.number().meta({
      description:
        'How long its oldest series has been waiting for a job or a fit, apart from those whose scanner is not accepted',
    }),
    withoutAcceptance: z.string().nullable().meta({
      description: 'Why it picks up slides of scanners without an acceptance; null if it does not',
    }),
    notAccepted: z.array(z.object({ scanner: z.string(), series: z.int() })).meta({
      description: 'Scanners whose slides it holds back, because they have no acceptance, and how many',
    }),
  })
  .meta({ id: 'Rule' });

export const ruleList = z
  .object({
    search: z
      .object({
        sweptAt: z.iso
          .datetime()
          .nullable()
          .meta({ description: 'Last search without a fault; of several archives, the oldest' }),
        ageSeconds: z.number().nullable(),
        isSurveyed: z.boolean().meta({
          description:
            'Whether the survey of what was in the archive before the first rule is complete; nothing counts as new until then',
        }),
        code: z.string().nullable().meta({ description: 'Fault of the last search' }),
        message: z.string().nullable(),
        unread: z.int().meta({
          description:
            'Series that could not be compared with a rule yet, because their headers cannot be read',
        }),
      })
      .meta({ id: 'RuleSearch' }),
    rules: z.array(rule),
    acceptances: z
      .object({
        decisions: z.array(
          z.object({
            scanner: z.string(),
            template: z.string(),
            model: z.string(),
            transfer: z.string(),
            decision: z.enum(['accepted', 'rejected']),
            name: z.string(),
            role: z.string(),
            signedAt: z.iso.datetime(),
          }),
        ),
        invalid: z.array(z.object({ file: z.string(), message: z.string() })),
      })
      .nullable()
      .meta({
        id: 'RuleAcceptances',
        description: 'Signed acceptances of scanners; null if the service asks for none (rules.acceptance)',
      }),
  })
  .meta({ id: 'RuleList' });
export type RuleList = z.infer<typeof ruleList>;

export const ruleSeriesQuery = z.object({
  state: batchSeries.shape.state.optional(),
  after: z.coerce.number().int().min(0).default(0).meta({ description: '`next` of the page before' }),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

export const ruleSeriesPage = z
  .object({ series: z.array(batchSeries), next: z.int().nullable() })
  .meta({ id: 'RuleSeriesPage', description: 'In the order in which the rule picked them up' });

export const ruleRetry = z.object({ series: z.int() }).meta({ id: 'RuleRetry' });

/** Body of POST /api/rules/notifications. */
export const ruleNotifications = z
  .strictObject({
    series: z
      .array(z.strictObject({ studyInstanceUid, seriesInstanceUid: seriesInstanceUid.optional() }))
      .min(1)
      .max(1000),
  })
  .meta({
    id: 'RuleNotifications',
    description:
      'Series that are new in the archive or have new instances; without a series: all of the study',
  });
