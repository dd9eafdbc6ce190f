/**
 * Writes the software bill of materials (CycloneDX) of what is shipped, for all platforms, from package-lock.json:
 * dist/sbom.cdx.json. What only developers install is left out.
 *
 *   npm run sbom
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import packageJson from '../package.json' with { type: 'json' };

const OPTIONS = [
  '--package-lock-only',
  '--omit',
  'dev',
  '--sbom-type',
  'application',
  '--sbom-format',
  'cyclonedx',
];

interface Sbom {
  readonly metadata: { readonly component: { name: string } };
  readonly components: readonly unknown[];
}

const root = new URL('../', import.meta.url);
const sbom = JSON.parse(
  execFileSync('npm', ['--silent', 'sbom', ...OPTIONS], { cwd: root, encoding: 'utf8', maxBuffer: 64e6 }),
) as Sbom;
// npm takes the name of the folder.
sbom.metadata.component.name = packageJson.name;
mkdirSync(new URL('dist/', root), { recursive: true });
writeFileSync(new URL('dist/sbom.cdx.json', root), `${JSON.stringify(sbom, null, 2)}\n`);
console.log(`dist/sbom.cdx.json: ${sbom.components.length} components.`);
