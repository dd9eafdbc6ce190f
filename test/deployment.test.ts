/** Dockerfile, compose.yaml and the Kubernetes manifests, compared with the code: they cannot be run here. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import packageJson from '../package.json' with { type: 'json' };
import { NODE_OPTIONS } from '../scripts/start-product.ts';
import { loadConfig } from '../server/src/config.ts';
import { repository } from './support/peers.ts';

const read = (path: string): string => readFileSync(join(repository, path), 'utf8');
const dockerfile = read('Dockerfile');

interface Container {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
}
interface Selector {
  readonly matchLabels: Record<string, string>;
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Record<string, string>;
  readonly stringData?: Record<string, string>;
  readonly spec: {
    readonly selector: Selector;
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: {
        readonly containers: [Container];
        readonly topologySpreadConstraints: readonly { readonly labelSelector: Selector }[];
      };
    };
  };
}

describe('Node', () => {
  it('is started with the same options everywhere', () => {
    const ways = [
      packageJson.scripts.start,
      packageJson.scripts.cli,
      /^ENTRYPOINT (.+)/m.exec(dockerfile)![1]!,
    ];
    for (const way of ways) for (const option of NODE_OPTIONS) expect(way).toContain(option);
  });
});

describe('the Dockerfile', () => {
  /** Variables of the image, one per line. */
  const variables = Object.fromEntries(
    [...dockerfile.matchAll(/^(?:ENV|\s) *(STAIN_\w+)=(\S+)/gm)].map(([, name, value]) => [name!, value!]),
  );

  it('has the Node.js version that the product is tested with', () => {
    expect(dockerfile).toContain(`NODE_IMAGE=node:${packageJson.devDependencies.node}-`);
  });

  it('builds the plugin from files that .dockerignore lets through', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const needed = new Set<string>();
    const follow = (path: string): void => {
      if (needed.has(path)) return;
      needed.add(path);
      for (const [, specifier] of read(path).matchAll(/from '(\.[^']+\.ts)'/g))
        follow(join(dirname(path), specifier!));
    };
    follow(packageJson.scripts['build:extension'].replace(/^node /, ''));
    expect(needed.size).toBeGreaterThan(2);
    for (const path of needed)
      expect(
        allowed.some((one) => path === one || path.startsWith(`${one}/`)),
        path,
      ).toBe(true);
  });

  it('copies files that exist, and that .dockerignore lets through', () => {
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

  it('names no stage by a variable, which buildah 1.28 would look for in a registry', () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base!);
    expect(bases.length).toBeGreaterThan(3);
    expect(bases.filter((base) => !/^(scratch|\w+|\$\{\w+_IMAGE\})$/.test(base))).toEqual([]);
  });

  it('lends the CA of an inspecting proxy to each step that fetches something', () => {
    const steps = [...dockerfile.matchAll(/^RUN (?:.*\\\n)*.*$/gm)].map(([step]) => step);
    const fetching = steps.filter((step) => /npm ci|ensureOhif|install-cuda/.test(step));
    expect(fetching).toHaveLength(4);
    for (const step of fetching) expect(step).toMatch(/^RUN --mount=type=secret,id=ca /);
  });

  it('sets variables that exist', () => {
    expect(Object.keys(variables).length).toBeGreaterThan(5);
    expect(loadConfig({ env: variables }).monitoring).toEqual({ host: '0.0.0.0', port: 9464 });
  });
});

describe('compose.cuda.yaml', () => {
  it('changes a service that exists, with variables that exist', () => {
    const [base, cuda] = ['compose.yaml', 'compose.cuda.yaml'].map((file) =>
      parse(read(file), { merge: true }),
    );
    for (const [name, { environment }] of Object.entries<{ environment: Record<string, string> }>(
      cuda.services,
    )) {
      expect(Object.keys(base.services)).toContain(name);
      expect(loadConfig({ env: environment }).device).toBe('cuda');
    }
    const { VARIANT, RUNTIME_IMAGE } = cuda.services.worker.build.args;
    // The head of the Dockerfile tells the same.
    expect(dockerfile).toContain(
      `--build-arg VARIANT=${VARIANT} --build-arg RUNTIME_IMAGE=${RUNTIME_IMAGE} .`,
    );
  });
});

describe('the manifests for Kubernetes', () => {
  const manifests = ['service', 'worker'].flatMap((name) =>
    parseAllDocuments(read(`deploy/kubernetes/${name}.yaml`)).map((document) => document.toJS() as Manifest),
  );
  const shared = Object.assign({}, ...manifests.map(({ data, stringData }) => ({ ...data, ...stringData })));
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment');

  it('trust no real network: the operator names the proxies', () => {
    const files = ['deploy/kubernetes/service.yaml', 'deploy/kubernetes/worker.yaml', 'compose.yaml'];
    for (const file of files) {
      const text = read(file);
      const networks = [...text.matchAll(/\b(\d+\.\d+\.\d+\.\d+)\/\d+/g)].map(([, address]) => address!);
      // RFC 5737: reserved for documentation.
      expect(networks.filter((address) => !/^(192\.0\.2|198\.51\.100|203\.0\.113)\./.test(address))).toEqual(
        [],
      );
    }
    const values = deployments.flatMap(({ spec }) => spec.template.spec.containers[0].env);
    expect(values.find(({ name }) => name === 'STAIN_SERVER_TRUSTED_PROXIES')?.value).toMatch(/^192\.0\.2\./);
  });

  it('spread and keep the pods that they make', () => {
    const budgets = manifests.filter(({ kind }) => kind === 'PodDisruptionBudget');
    for (const { metadata, spec } of deployments) {
      const { labels } = spec.template.metadata;
      const budget = budgets.find(({ metadata: { name } }) => name === metadata.name);
      const spread = spec.template.spec.topologySpreadConstraints;
      expect(spread).toHaveLength(2);
      for (const { matchLabels } of [
        spec.selector,
        budget!.spec.selector,
        ...spread.map((one) => one.labelSelector),
      ])
        expect(labels).toEqual(matchLabels);
    }
  });

  it('configure settings that exist', () => {
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
