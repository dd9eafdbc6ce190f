/**
 * What counts as proof that the network runs on the requested device. ONNX Runtime silently moves single operators to
 * the CPU, so neither its list of providers nor the absence of errors proves anything.
 */
import { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';

/** The figures of a proof, as plain values, for `info`, the HTTP API and metrics. */
export interface DeviceProof {
  readonly executionProvider: string;
  readonly deviceId: number;
  /** Convolutions that a profiled run of each graph executed, all of them on the provider. */
  readonly convolutions: number;
  /** Names of operators that ran on another provider, which is fine for cheap ones. */
  readonly operatorsElsewhere: readonly string[];
  /** Side of the tile that both device and CPU normalised, in pixels. */
  readonly tileSize: number;
  /** Largest difference between the tiles of device and CPU, in grey levels. */
  readonly largestDifference: number;
  readonly meanDifference: number;
  /** Time of one run on that tile, from pixels to pixels, in milliseconds. */
  readonly deviceMilliseconds: number;
  readonly cpuMilliseconds: number;
  /** Speed relative to the CPU with the configured threads. */
  readonly speedRatio: number;
}

/**
 * Maximum difference between device and CPU, in grey levels. TF32 convolutions, emulated, change no pixel of such a
 * tile by more than 1, and neither does bfloat16: a larger difference is a fault, not rounding.
 */
export const GREATEST_DIFFERENCE = 4;

const profile = z.array(
  z.object({
    cat: z.string().optional(),
    args: z.object({ op_name: z.string().optional(), provider: z.string().optional() }).optional(),
  }),
);

export interface Placement {
  readonly convolutions: number;
  readonly operatorsElsewhere: readonly string[];
}

/**
 * Where the operators of a profiled run were executed.
 * @param events content of ONNX Runtime's profile
 * @throws DEVICE_UNAVAILABLE if a convolution ran on another provider, or none ran at all
 */
export function placementOf(events: unknown, provider: string): Placement {
  const nodes = profile
    .parse(events)
    .filter(({ cat, args }) => cat === 'Node' && args?.op_name !== undefined && args.provider !== undefined)
    .map(({ args }) => ({ operator: args!.op_name!, provider: args!.provider! }));
  // Conv, and what the optimizer makes from it: FusedConv, NhwcConv, NhwcFusedConv.
  const convolutions = nodes.filter(({ operator }) => operator.endsWith('Conv'));
  const strayed = convolutions.filter((node) => node.provider !== provider);
  if (convolutions.length === 0)
    throw new StainError('DEVICE_UNAVAILABLE', 'The profile of the first run shows no convolution.');
  if (strayed.length > 0)
    throw new StainError(
      'DEVICE_UNAVAILABLE',
      `${strayed.length} of ${convolutions.length} convolutions ran on ${strayed[0]!.provider} and not on ${provider}.`,
    );
  const elsewhere = nodes.filter((node) => node.provider !== provider).map(({ operator }) => operator);
  return { convolutions: convolutions.length, operatorsElsewhere: [...new Set(elsewhere)].sort() };
}

/**
 * Differences in grey levels between two tiles of the same size.
 * @throws DEVICE_UNAVAILABLE if they cannot be due to rounding
 */
export function differenceOf(
  device: Uint8Array,
  cpu: Uint8Array,
): Pick<DeviceProof, 'largestDifference' | 'meanDifference'> {
  let largest = 0;
  let sum = 0;
  for (const [i, value] of device.entries()) {
    const difference = Math.abs(value - cpu[i]!);
    largest = Math.max(largest, difference);
    sum += difference;
  }
  if (largest > GREATEST_DIFFERENCE)
    throw new StainError(
      'DEVICE_UNAVAILABLE',
      `The device computes a different result from the CPU: ${largest} grey levels apart on the same tile.`,
    );
  return { largestDifference: largest, meanDifference: sum / device.length };
}

/** "all 22 convolutions on CUDAExecutionProvider; ..." */
export function describeProof(proof: DeviceProof): string {
  const { convolutions, executionProvider, deviceId, operatorsElsewhere, largestDifference, tileSize } =
    proof;
  const elsewhere = operatorsElsewhere.length > 0 ? ` (elsewhere: ${operatorsElsewhere.join(', ')})` : '';
  return [
    `all ${convolutions} convolutions on ${executionProvider} ${deviceId}${elsewhere}`,
    `at most ${largestDifference} grey levels from the CPU`,
    `${proof.speedRatio.toFixed(1)} times as fast as the CPU (tile of ${tileSize}: ${proof.deviceMilliseconds.toFixed(1)} ms)`,
  ].join('; ');
}
