/** Which packages of package-lock.json reach a user. */

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

export interface Lockfile {
  /** By path below the root; the root itself is \`\`. */
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** Workspace whose development dependencies are bundled into the viewer's plugin. */
const BUNDLED_BY = 'extension';

/** Paths of the packages that are installed with the product or bundled into the plugin, without our own workspaces. */
export function shippedPaths({ packages }: Lockfile): string[] {
  const bundled = new Set<string>();
  const bundle = (name: string, from: string): void => {
    const path = installedAt(name, from, packages);
    if (path === undefined || bundled.has(path)) return;
    bundled.add(path);
    for (const next of Object.keys(packages[path]?.dependencies ?? {})) bundle(next, path);
  };
  for (const name of Object.keys(packages[BUNDLED_BY]?.devDependencies ?? {})) bundle(name, BUNDLED_BY);
  return Object.entries(packages).flatMap(([path, { dev, link }]) =>
    path.includes('node_modules/') && !link && (!dev || bundled.has(path)) ? [path] : [],
  );
}

/** Where Node finds a package: in the nearest node_modules on the way up. */
function installedAt(name: string, from: string, packages: Lockfile['packages']): string | undefined {
  const path = `${from && `${from}/`}node_modules/${name}`;
  if (path in packages) return path;
  if (from === '') return undefined;
  return installedAt(name, from.includes('/') ? from.slice(0, from.lastIndexOf('/')) : '', packages);
}
