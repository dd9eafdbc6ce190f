/** The manifests of deploy/kubernetes against the schemas of Kubernetes, which kubernetes-validate (PyPI) brings along. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { python, repository, runPython } from '../support/peers.ts';

const FILES = ['service.yaml', 'worker.yaml'].map((name) => join(repository, 'deploy/kubernetes', name));

interface Validated {
  readonly file: string;
  readonly kind: string;
  readonly name: string;
  readonly error: string | null;
}

async function validate(version: string, ...files: string[]): Promise<Validated[]> {
  return JSON.parse(await runPython('validate_manifests.py', version, ...files));
}

describe.skipIf(python.missing)(`the manifests for Kubernetes${python.note}`, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'manifests-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(['1.33', '1.37'])('are valid in Kubernetes %s', async (version) => {
    const validated = await validate(version, ...FILES);
    expect(validated.filter(({ error }) => error !== null)).toEqual([]);
    const deployed = validated.filter(({ kind }) => kind === 'Deployment').map(({ name }) => name);
    expect(deployed).toEqual(['stain-service', 'stain-worker']);
    // A node may be drained without every pod going at once.
    const budgets = validated.filter(({ kind }) => kind === 'PodDisruptionBudget').map(({ name }) => name);
    expect(budgets).toEqual(deployed);
  });

  it.each([
    ['a field that there is not', 'maxSkew: 1', 'maximumSkew: 1'],
    ['a word for a number', 'replicas: 2', 'replicas: two'],
  ])('are not valid with %s', async (_, right, wrong) => {
    const text = await readFile(FILES[1]!, 'utf8');
    expect(text).toContain(right);
    const file = join(folder, 'worker.yaml');
    await writeFile(file, text.replaceAll(right, wrong));
    expect((await validate('1.37', file)).filter(({ error }) => error !== null)).toMatchObject([
      { kind: 'Deployment', name: 'stain-worker' },
    ]);
  });
});
