/**
 * Proves that a device computes the network: a profiled run of each graph, one tile compared with the CPU, and the time
 * of both. Uses separate sessions, opened like those for work, so that profiling does not slow anything down later.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DeviceProof, differenceOf, type Placement, placementOf } from './device-proof.ts';
import type { InferenceRequest, WorkerStart } from './messages.ts';
import { proofTile, proofTransfer } from './proof-tile.ts';
import { closeSessions, openSessions, runRequest, type Sessions } from './sessions.ts';

/**
 * Side of the tile in pixels: large enough to tell a fast device from a slow one, small enough for a second on the CPU.
 */
const TILE_SIZE = 512;
/** Timed runs after the first; the best counts. */
const RUNS = { device: 5, cpu: 2 };

export interface ProofSubject extends Pick<WorkerStart, 'graphs' | 'providers' | 'threads'> {
  /** K, the number of classes of the model. */
  readonly classes: number;
  /** ONNX Runtime's name of the provider that must compute every convolution. */
  readonly executionProvider: string;
  readonly deviceId: number;
}

/** @throws DEVICE_UNAVAILABLE if the proof fails; Error if the device cannot be used at all */
export async function proveDevice(subject: ProofSubject): Promise<DeviceProof> {
  const { classes, executionProvider, deviceId } = subject;
  const folder = await mkdtemp(join(tmpdir(), 'stain-proof-'));
  try {
    const onDevice = await withSessions(subject, join(folder, 'profile'), async (sessions) => {
      await runRequest(sessions, statisticsRequest());
      await runRequest(sessions, applyRequest(classes));
      const placement = await endProfiles(sessions, folder, executionProvider);
      return { ...placement, ...(await timed(sessions, classes, RUNS.device)) };
    });
    const cpu = { ...subject, providers: [{ name: 'cpu' }] } as const;
    const onCpu = await withSessions(cpu, undefined, (sessions) => timed(sessions, classes, RUNS.cpu));
    return {
      executionProvider,
      deviceId,
      convolutions: onDevice.convolutions,
      operatorsElsewhere: onDevice.operatorsElsewhere,
      tileSize: TILE_SIZE,
      ...differenceOf(onDevice.tile, onCpu.tile),
      deviceMilliseconds: onDevice.milliseconds,
      cpuMilliseconds: onCpu.milliseconds,
      speedRatio: onCpu.milliseconds / onDevice.milliseconds,
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function withSessions<T>(
  subject: ProofSubject,
  profilePrefix: string | undefined,
  use: (sessions: Sessions) => Promise<T>,
): Promise<T> {
  const sessions = await openSessions(subject, profilePrefix);
  try {
    return await use(sessions);
  } finally {
    await closeSessions(sessions);
  }
}

/** The profiles of both graphs are checked separately: each must contain convolutions, all of them on the provider. */
async function endProfiles(sessions: Sessions, folder: string, provider: string): Promise<Placement> {
  sessions.statistics.endProfiling();
  sessions.apply.endProfiling();
  const placements = await Promise.all(
    (await readdir(folder)).map(async (file) =>
      placementOf(JSON.parse(await readFile(join(folder, file), 'utf8')), provider),
    ),
  );
  return {
    convolutions: placements.reduce((sum, { convolutions }) => sum + convolutions, 0),
    operatorsElsewhere: [
      ...new Set(placements.flatMap(({ operatorsElsewhere }) => operatorsElsewhere)),
    ].sort(),
  };
}

async function timed(
  sessions: Sessions,
  classes: number,
  runs: number,
): Promise<{ tile: Uint8Array; milliseconds: number }> {
  let milliseconds = Number.POSITIVE_INFINITY;
  let tile = (await runRequest(sessions, applyRequest(classes))) as Uint8Array;
  for (let i = 0; i < runs; i++) {
    const request = applyRequest(classes);
    const start = performance.now();
    tile = (await runRequest(sessions, request)) as Uint8Array;
    milliseconds = Math.min(milliseconds, performance.now() - start);
  }
  return { tile, milliseconds };
}

function statisticsRequest(): InferenceRequest {
  const weight = new Uint8Array(TILE_SIZE * TILE_SIZE).fill(1);
  return {
    kind: 'statistics',
    tile: proofTile(TILE_SIZE),
    weight,
    gain: 1,
    width: TILE_SIZE,
    height: TILE_SIZE,
  };
}

function applyRequest(classes: number): InferenceRequest {
  const tile = proofTile(TILE_SIZE);
  return { kind: 'apply', tile, width: TILE_SIZE, height: TILE_SIZE, ...proofTransfer(classes) };
}
