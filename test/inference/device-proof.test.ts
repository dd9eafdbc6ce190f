/** The proof that a device computes the network, tested with the only provider that is everywhere. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { device } from '../../core/src/contract/index.ts';
import { describeInfo } from '../../server/src/cli/info-command.ts';
import {
  type DeviceProof,
  differenceOf,
  GREATEST_DIFFERENCE,
  placementOf,
} from '../../server/src/inference/device-proof.ts';
import { type LoadedModel, loadModel } from '../../server/src/inference/manifest.ts';
import { proveDevice } from '../../server/src/inference/prove-device.ts';
import { closeSessions, openSessions, runRequest } from '../../server/src/inference/sessions.ts';
import { startWorker } from '../../server/src/inference/start-worker.ts';
import { modelFolder } from '../support/network.ts';
import { tissue } from '../support/tissue.ts';

const CPU = 'CPUExecutionProvider';
const CUDA = 'CUDAExecutionProvider';
const providers = [{ name: 'cpu' }] as const;
let model: LoadedModel;

beforeAll(async () => {
  model = await loadModel(modelFolder, 'fast');
});

describe('a profile of a real run', () => {
  let folder: string;
  let events: { cat: string; args?: { op_name?: string; provider?: string } }[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stain-profile-'));
    const sessions = await openSessions({ graphs: model.graphs, providers, threads: 1 }, join(folder, 'p'));
    const weight = new Uint8Array(64 * 64).fill(1);
    await runRequest(sessions, {
      kind: 'statistics',
      tile: tissue(64, 64).rgb,
      weight,
      gain: 1,
      width: 64,
      height: 64,
    });
    sessions.statistics.endProfiling();
    await closeSessions(sessions);
    const files = await readdir(folder);
    const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    events = texts.map((text) => JSON.parse(text)).find((parsed) => parsed.length > 10);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const convolutions = () => events.filter(({ args }) => args?.op_name?.endsWith('Conv'));

  it('shows where the convolutions ran, and refuses another provider', () => {
    expect(placementOf(events, CPU)).toEqual({ convolutions: 10, operatorsElsewhere: [] });
    expect(() => placementOf(events, CUDA)).toThrow(
      /10 of 10 convolutions ran on CPUExecutionProvider and not on CUDAExecutionProvider/,
    );
  });

  it('refuses even one convolution elsewhere, and records other operators', () => {
    const moved = structuredClone(events);
    for (const { args } of moved) if (args?.op_name?.endsWith('Conv')) args.provider = CUDA;
    expect(placementOf(moved, CUDA)).toMatchObject({
      convolutions: 10,
      operatorsElsewhere: expect.arrayContaining(['Gather', 'ReduceSum']),
    });
    expect(placementOf(moved, CUDA).operatorsElsewhere).not.toContain('Conv');
    const first = moved.find(({ args }) => args?.op_name?.endsWith('Conv'))!;
    // As the optimizer of the CUDA provider names it.
    first.args = { op_name: 'FusedConv', provider: CPU };
    expect(() => placementOf(moved, CUDA)).toThrow(/1 of 10 convolutions/);
  });

  it('proves nothing without a convolution', () => {
    const none = events.filter((event) => !convolutions().includes(event));
    expect(() => placementOf(none, CPU)).toThrow(/no convolution/);
  });
});

describe('the difference between two tiles', () => {
  it('is recorded within rounding errors, and refused beyond', () => {
    const cpu = Uint8Array.of(10, 20, 30, 40);
    expect(differenceOf(Uint8Array.of(10, 21, 27, 40), cpu)).toEqual({
      largestDifference: 3,
      meanDifference: 1,
    });
    const wrong = Uint8Array.of(10, 20, 30, 40 + GREATEST_DIFFERENCE + 1);
    expect(() => differenceOf(wrong, cpu)).toThrow(/grey levels apart/);
  });
});

describe('the proof', () => {
  let proof: DeviceProof;
  let temporary: string;
  const subject = () => ({ graphs: model.graphs, providers, threads: 1, classes: model.classes });

  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'stain-proof-test-'));
    vi.stubEnv('TMPDIR', temporary);
    proof = await proveDevice({ ...subject(), executionProvider: CPU, deviceId: 0 });
  });

  afterAll(async () => {
    vi.unstubAllEnvs();
    await rm(temporary, { recursive: true });
  });

  it('finds that the CPU is the CPU, with convolutions of both graphs', () => {
    expect(proof).toMatchObject({ executionProvider: CPU, largestDifference: 0, meanDifference: 0 });
    // Five of the network in either graph, and the one that mixes the coefficients.
    expect(proof.convolutions).toBe(16);
    expect(proof.speedRatio).toBeCloseTo(proof.cpuMilliseconds / proof.deviceMilliseconds);
    expect(proof.speedRatio).toBeGreaterThan(0);
  });

  it('finds that the CPU is not CUDA', async () => {
    const refused = proveDevice({ ...subject(), executionProvider: CUDA, deviceId: 0 });
    await expect(refused).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' });
  });

  it('is made in the inference thread, which does not start if it fails', async () => {
    const start = { graphs: model.graphs, providers, threads: 1 };
    const prove = { executionProvider: CPU, deviceId: 0, classes: model.classes };
    const started = await startWorker({ ...start, prove });
    started.worker.postMessage({ kind: 'close' });
    expect(started.proof).toMatchObject({ executionProvider: CPU, convolutions: 16 });
    await expect(startWorker({ ...start, prove: { ...prove, executionProvider: CUDA } })).rejects.toThrow(
      /convolutions ran on CPUExecutionProvider/,
    );
  });

  it('leaves no profile behind', async () => {
    expect(await readdir(temporary)).toEqual([]);
  });

  it('is shown by info and by the HTTP API', () => {
    const model = { name: 'fast', version: '1', sha256: 'x' };
    const info = { version: '1', providerReason: undefined, model, archives: [], templates: [] };
    const text = describeInfo({ ...info, executionProvider: CUDA, deviceProof: proof });
    expect(text).toMatch(/proof +all 16 convolutions on \S+ 0; at most 0 grey levels from the CPU/);
    const answer = { requested: 'cuda', executionProvider: CUDA, reason: null, proof, threads: 2 };
    expect(device.parse(answer)).toEqual(answer);
  });
});
