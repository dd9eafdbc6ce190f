/**
 * Writes the software bill of materials (CycloneDX) of what is shipped, for all platforms, from package-lock.json:
 * dist/sbom.cdx.json. Packages that only developers install are omitted.
 *
 *   npm run sbom
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import extension from '../extension/package.json' with { type: 'json' };
import packageJson from '../package.json' with { type: 'json' };
import server from '../server/package.json' with { type: 'json' };
import { readArguments } from './arguments.ts';
import { shippedDependencies } from './licences.ts';
import type { Lockfile } from './shipped-packages.ts';

const OPTIONS = ['--package-lock-only', '--sbom-type', 'application', '--sbom-format', 'cyclonedx'];

interface Component {
  readonly 'bom-ref': string;
  properties: readonly { readonly name: string }[];
}

interface Dependencies {
  readonly ref: string;
  readonly dependsOn: readonly string[];
}

interface Sbom {
  readonly metadata: { readonly component: { name: string; 'bom-ref': string } };
  components: readonly Component[];
  dependencies: readonly Dependencies[];
}

readArguments({
  usage: 'npm run sbom',
  about: 'Writes the software bill of materials (CycloneDX) of what is shipped: dist/sbom.cdx.json.',
  options: {},
});
const root = new URL('../', import.meta.url);
const sbom = JSON.parse(
  execFileSync('npm', ['--silent', 'sbom', ...OPTIONS], { cwd: root, encoding: 'utf8', maxBuffer: 64e6 }),
) as Sbom;
const lockfile = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8')) as Lockfile;
const ours = [server, extension].map(({ name, version }) => `${name}@${version}`);
const shipped = shippedDependencies(lockfile).map(({ name, version }) => `${name}@${version}`);
const wanted = new Set([...ours, ...shipped]);
sbom.components = sbom.components.filter((component) => wanted.has(component['bom-ref']));
// Bundled packages are development dependencies to npm.
for (const component of sbom.components)
  component.properties = component.properties.filter(({ name }) => name !== 'cdx:npm:package:development');
const kept = new Set([sbom.metadata.component, ...sbom.components].map((component) => component['bom-ref']));
sbom.dependencies = sbom.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((on) => kept.has(on)) }));
// npm uses the name of the folder.
sbom.metadata.component.name = packageJson.name;
mkdirSync(new URL('dist/', root), { recursive: true });
writeFileSync(new URL('dist/sbom.cdx.json', root), `${JSON.stringify(sbom, null, 2)}\n`);
console.log(`dist/sbom.cdx.json: ${sbom.components.length} components.`);
