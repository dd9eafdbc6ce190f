/**
 * Checks that everything the product is shipped with may be used in a work under Apache-2.0, by an allow-list, and writes
 * the list: docs/licences.md. Exits with 1 if a licence is missing or not on the list.
 *
 *   npm run licences
 */
import { readFileSync, writeFileSync } from 'node:fs';
import satisfies from 'spdx-satisfies';
import { readArguments } from './arguments.ts';
import { type Lockfile, shippedPaths } from './shipped-packages.ts';

/** Permissive licences: they require that their notice is kept, and nothing that Apache-2.0 does not allow. */
const APPROVED = [
  ...[
    'Apache-2.0',
    'MIT',
    'MIT-0',
    'ISC',
    '0BSD',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'BlueOak-1.0.0',
    'Zlib',
    'CC0-1.0',
  ],
];

/** Approved only for some packages, for the reason given in docs/licences.md. */
const EXCEPTIONS = [{ packages: /^@img\/sharp-/, licences: ['LGPL-3.0-or-later'] }];

const NOTES = `Made by \`npm run licences\` from package-lock.json; not to be edited. Everything that is installed with the
service or bundled into the viewer's plugin, on any platform; what only developers install is left out.

- **LGPL-3.0-or-later** (\`@img/sharp-*\`): sharp itself is Apache-2.0; its binary packages hold libvips and the libraries
  that come with it (glib, librsvg, pango and others under the LGPL, cairo under the MPL-1.1, others under permissive
  licences; the README of each package lists them). On Linux and macOS it is a shared library in a package of its own;
  everywhere it is unchanged, loaded at run time and replaceable by another build, as the LGPL asks. Who passes on a
  container image or archive with it adds the text of the LGPL and names the source, github.com/lovell/sharp-libvips.
- **Native code within permissive packages** has licences of its own, all permissive: libjpeg-turbo (IJG, BSD-3-Clause,
  zlib), OpenJPEG (BSD-2-Clause), OpenJPH (BSD-2-Clause), CharLS (BSD-3-Clause), ONNX Runtime (MIT, with the notices in
  its package), PostgreSQL within PGlite (PostgreSQL License).
- **Not in the lockfile**: Node.js (MIT and others) is installed by whoever runs the service; OHIF (MIT) and, for a GPU,
  ONNX Runtime's CUDA provider (MIT) and NVIDIA's libraries (proprietary) are fetched by the user's own command and
  are not passed on with the product.
`;

export interface Dependency {
  readonly name: string;
  readonly version: string;
  /** SPDX expression; empty if the package states none. */
  readonly licence: string;
}

/** All shipped packages by name and version, without duplicates. */
export function shippedDependencies(lockfile: Lockfile): Dependency[] {
  const found = new Map<string, Dependency>();
  for (const path of shippedPaths(lockfile)) {
    const { version = '', license: licence = '' } = lockfile.packages[path]!;
    const name = path.split('node_modules/').at(-1)!;
    found.set(`${name}@${version}`, { name, version, licence });
  }
  const order = ({ name, version }: Dependency): string => `${name} ${version}`;
  return [...found.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

export function isCompatible({ name, licence }: Dependency): boolean {
  const exceptions = EXCEPTIONS.filter(({ packages }) => packages.test(name)).flatMap(
    ({ licences }) => licences,
  );
  try {
    return satisfies(licence, [...APPROVED, ...exceptions]);
  } catch {
    return false; // Not an SPDX expression.
  }
}

function page(dependencies: readonly Dependency[]): string {
  const rows = dependencies.map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`);
  return `# Licences of all dependencies\n\n${NOTES}\n| package | version | licence |\n|---|---|---|\n${rows.join('\n')}\n`;
}

if (import.meta.main) {
  readArguments({
    usage: 'npm run licences',
    about:
      'Checks the licences of all that is shipped and writes docs/licences.md. Exits with 1 if one is not approved.',
    options: {},
  });
  const root = new URL('../', import.meta.url);
  const lockfile = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8')) as Lockfile;
  const dependencies = shippedDependencies(lockfile);
  const refused = dependencies.filter((dependency) => !isCompatible(dependency));
  writeFileSync(new URL('docs/licences.md', root), page(dependencies));
  for (const { name, version, licence } of refused)
    console.error(`${name} ${version}: ${licence || 'no licence stated'}`);
  console.log(`${dependencies.length} packages, ${refused.length} whose licence is not approved.`);
  process.exitCode = refused.length === 0 ? 0 : 1;
}
