/** What the service reports about itself: templates, models, device, health, errors. */
import { z } from 'zod';

export const modelIdentity = z.object({ name: z.string(), version: z.string(), sha256: z.string() });

const graph = z.object({
  url: z.string().meta({ description: 'URL of the ONNX file, relative to the root of the host' }),
  sha256: z.string(),
  bytes: z.number(),
});

export const model = modelIdentity
  .extend({
    description: z.string(),
    classes: z.number().meta({ description: 'Number of stain classes' }),
    classNames: z.array(z.string()).readonly(),
    halo: z.number().meta({ description: 'Pixels of context that the network needs on each side' }),
    alignment: z.number().meta({ description: 'Origins and sizes of windows are multiples of this' }),
    graphs: z.object({ statistics: graph, apply: graph }),
  })
  .meta({ id: 'Model' });
export type Model = z.infer<typeof model>;
export const modelList = z.object({ models: z.array(model) }).meta({ id: 'ModelList' });

/** The figures of server/src/inference/device-proof.ts. */
const deviceProof = z
  .object({
    executionProvider: z.string(),
    deviceId: z.number(),
    convolutions: z
      .number()
      .meta({ description: 'Convolutions that a profiled run executed, all of them on the provider' }),
    operatorsElsewhere: z
      .array(z.string())
      .readonly()
      .meta({ description: 'Operators that ran on another provider, by name' }),
    tileSize: z
      .number()
      .meta({ description: 'Side of the tile that both device and CPU normalised, in pixels' }),
    largestDifference: z
      .number()
      .meta({ description: 'Largest difference between the two results, in grey levels' }),
    meanDifference: z.number(),
    deviceMilliseconds: z.number(),
    cpuMilliseconds: z.number(),
    speedRatio: z.number().meta({ description: 'Speed as a multiple of that of the CPU' }),
  })
  .meta({ id: 'DeviceProof' });

export const device = z
  .object({
    requested: z.string().meta({ description: 'The configured device', example: 'auto' }),
    executionProvider: z
      .string()
      .nullable()
      .meta({ description: 'The provider that ONNX Runtime uses; null until a network has been opened' }),
    reason: z.string().nullable().meta({ description: 'Why it is not the preferred device' }),
    proof: deviceProof
      .nullable()
      .meta({ description: 'The proof that the network runs on this device; null on the CPU' }),
    threads: z.number(),
  })
  .meta({ id: 'Device' });
export type Device = z.infer<typeof device>;

export const health = z
  .object({
    status: z.enum(['ok', 'unavailable']),
    version: z.string(),
    checks: z.array(
      z.object({
        name: z.string(),
        ok: z.boolean(),
        isOptional: z.boolean().optional().meta({ description: 'true: the service is ready without it' }),
        code: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'Health' });
export type Health = z.infer<typeof health>;

export const errorList = z
  .object({ errors: z.array(z.object({ code: z.string(), status: z.number(), remedy: z.string() })) })
  .meta({ id: 'ErrorList' });

/** RFC 9457, with the stable code and the remedy as extension members. */
export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    code: z.string().meta({ description: 'One of the codes in GET /api/errors' }),
    remedy: z.string(),
    instance: z
      .string()
      .optional()
      .meta({ description: 'urn:uuid of the request; the same as X-Request-Id' }),
    data: z.record(z.string(), z.unknown()).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;
