/** How a release changes the files that state the version. */

const VERSION = /^\d+\.\d+\.\d+(-[\w.]+)?$/;
const UNRELEASED = '## Unreleased\n';

/** Moves what is under "Unreleased" to the version, and starts a new "Unreleased". @throws Error if it is empty */
export function datedChangelog(text: string, version: string, now: Date): string {
  if (!VERSION.test(version)) throw new Error(`"${version}" is not a version such as 1.2.3.`);
  if (text.includes(`\n## ${version} `)) throw new Error(`The changelog already has version ${version}.`);
  const [before, rest] = text.split(UNRELEASED);
  if (rest === undefined) throw new Error('The changelog has no "## Unreleased".');
  if (rest.split('\n## ')[0]!.trim() === '')
    throw new Error('The changelog has nothing under "## Unreleased": describe what changed.');
  return `${before}${UNRELEASED}\n## ${version} - ${now.toISOString().slice(0, 10)}\n${rest}`;
}

/**
 * Replaces our version where a file states it: its own "version", the pinned dependency of one workspace on the other,
 * or "version X" in a document.
 * @throws Error if it is not found
 */
export function withVersion(text: string, from: string, to: string): string {
  const stated = new RegExp(
    `("version": "|"ohif-extension-stain-normalization": "|\\bversion )${from.replaceAll('.', '\\.')}\\b`,
    'g',
  );
  const changed = text.replace(stated, (_all, before: string) => before + to);
  if (changed === text && from !== to) throw new Error(`A file does not state version ${from}.`);
  return changed;
}
