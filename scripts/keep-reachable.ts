/** tsc writes the types of every file; a package needs only those reachable from its entry. */
import { glob, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Removes every declaration below the folder that the entry does not import, directly or indirectly. */
export async function keepReachable(folder: string, entry: string): Promise<void> {
  const reached = new Set<string>();
  const visit = async (path: string): Promise<void> => {
    if (reached.has(path)) return;
    reached.add(path);
    const text = await readFile(join(folder, path), 'utf8');
    for (const [, specifier] of text.matchAll(/(?:from|import\() ?'(\.[^']+)\.ts'/g))
      await visit(join(dirname(path), `${specifier}.d.ts`));
  };
  await visit(entry);
  for await (const path of glob('**/*.d.ts', { cwd: folder }))
    if (!reached.has(path)) await rm(join(folder, path));
}
