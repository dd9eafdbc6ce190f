/** Dockerfile, compose.yaml and the manifests for Kubernetes, held against what they are about: they cannot be run here. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import packageJson from '../package.json' with { type: 'json' };
import { loadConfig } from '../server/src/config.ts';
import { repository } from './support/peers.ts';

const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const dockerfile = read('Dockerfile');

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
}
interface Manifest {
  readonly kind: string;
  readonly data?: Record<string, string>;
  readonly stringData?: Record<string, string>;
  readonly spec: { readonly template: { readonly spec: { readonly containers: [Container] } } };
}

describe('the Dockerfile', () => {
  /** Variables of the image, a line each. */
  const variables = Object.fromEntries(
    [...dockerfile.matchAll(/^(?:ENV|\s) *(STAIN_\w+)=(\S+)/gm)].map(([, name, value]) => [name!, value!]),
  );

  it('has the Node.js that the product is tested with', () => {
    expect(dockerfile).toContain(`NODE_IMAGE=node:${packageJson.devDependencies.node}-`);
  });

  it('copies what there is, and what .dockerignore lets through', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)]
      .flatMap(([, paths]) => paths!.split(' '))
      .filter((path) => path !== '.');
    expect(copied.length).toBeGreaterThan(5);
    for (const path of [...copied, ...allowed]) expect(existsSync(join(repository, path)), path).toBe(true);
    const isLetThrough = (path: string): boolean =>
      allowed.some((one) => path === one || path.startsWith(`${one}/`));
    expect(copied.filter((path) => !isLetThrough(path))).toEqual([]);
  });

  it('sets variables that there are', () => {
    expect(Object.keys(variables).length).toBeGreaterThan(5);
    expect(loadConfig({ env: variables }).monitoring).toEqual({ host: '0.0.0.0', port: 9464 });
  });
});

describe('compose.cuda.yaml', () => {
  it('changes a service that there is, by variables that there are', () => {
    const [base, cuda] = ['compose.yaml', 'compose.cuda.yaml'].map((file) =>
      parse(read(file), { merge: true }),
    );
    for (const [name, { environment }] of Object.entries<{ environment: Record<string, string> }>(
      cuda.services,
    )) {
      expect(Object.keys(base.services)).toContain(name);
      expect(loadConfig({ env: environment }).device).toBe('cuda');
    }
    expect(dockerfile).toContain(`FROM \${CUDA_IMAGE} AS ${cuda.services.worker.build.args.VARIANT}-base`);
  });
});

describe('the manifests for Kubernetes', () => {
  const manifests = ['service', 'worker'].flatMap((name) =>
    parseAllDocuments(read(`deploy/kubernetes/${name}.yaml`)).map((document) => document.toJS() as Manifest),
  );
  const shared = Object.assign({}, ...manifests.map(({ data, stringData }) => ({ ...data, ...stringData })));
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment');

  it('trust no network that anybody has: the operator names the proxies', () => {
    const files = ['deploy/kubernetes/service.yaml', 'deploy/kubernetes/worker.yaml', 'compose.yaml'];
    for (const file of files) {
      const text = read(file);
      const networks = [...text.matchAll(/\b(\d+\.\d+\.\d+\.\d+)\/\d+/g)].map(([, address]) => address!);
      // RFC 5737: kept free for documents.
      expect(networks.filter((address) => !/^(192\.0\.2|198\.51\.100|203\.0\.113)\./.test(address))).toEqual(
        [],
      );
    }
    const values = deployments.flatMap(({ spec }) => spec.template.spec.containers[0].env);
    expect(values.find(({ name }) => name === 'STAIN_SERVER_TRUSTED_PROXIES')?.value).toMatch(/^192\.0\.2\./);
  });

  it('configure what there is', () => {
    expect(deployments).toHaveLength(2);
    for (const { spec } of deployments) {
      const [{ env, ports }] = spec.template.spec.containers;
      const config = loadConfig({
        env: { ...shared, ...Object.fromEntries(env.map(({ name, value }) => [name, value])) },
      });
      for (const { name, containerPort } of ports)
        expect(containerPort).toBe({ http: config.server.port, metrics: config.monitoring.port }[name]);
    }
  });
});
