/** The viewer for `serve`, or why there is none: a service without a viewer still does its work. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Router } from 'express';
import { toStainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import { signInOf } from './app-config.ts';
import { ensureOhif, isThere } from './ohif-package.ts';
import { type ViewerOptions, viewerRouter } from './viewer-router.ts';

/** Where the plugin is built, in the extension's package. */
const PLUGIN = join(
  dirname(fileURLToPath(import.meta.resolve('ohif-extension-stain-normalization/package.json'))),
  'dist/plugin',
);

export async function openViewer(
  { viewer, server, oidc, archives }: Pick<Config, 'viewer' | 'server' | 'oidc' | 'archives'>,
  templates: ViewerOptions['templates'],
  signal: AbortSignal,
  plugin = PLUGIN,
): Promise<{ readonly router: Router } | { readonly missing: string }> {
  if (!viewer.enabled) return { missing: 'switched off (viewer.enabled)' };
  if (!(await isThere(join(plugin, 'stain-normalization.mjs'))))
    return { missing: 'the plugin is not built: run "npm run build:extension"' };
  try {
    const dist = await ensureOhif({ directory: viewer.directory, archive: viewer.package, signal });
    return {
      router: await viewerRouter({
        dist,
        plugin,
        basePath: server.basePath,
        signIn: signInOf({ oidc }),
        archives: Object.entries(archives).map(([name, { isReadOnly }]) => ({ name, isReadOnly })),
        templates,
      }),
    };
  } catch (error) {
    // The service is stopping: a missing viewer no longer matters.
    if (signal.aborted) throw error;
    const { message, remedy } = toStainError(error);
    return { missing: `${message} ${remedy}` };
  }
}
