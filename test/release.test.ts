/** The version is in several files, because npm reads each. All must agree, and a release changes all. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import extension from '../extension/package.json' with { type: 'json' };
import root from '../package.json' with { type: 'json' };
import { datedChangelog, withVersion } from '../scripts/release-files.ts';
import server from '../server/package.json' with { type: 'json' };
import { repository } from './support/peers.ts';

const read = (path: string): string => readFileSync(join(repository, path), 'utf8');

it('all packages, the changelog and the conformance statement have one version', () => {
  const { version } = root;
  expect(server.version).toBe(version);
  expect(extension.version).toBe(version);
  expect(server.dependencies[extension.name as 'ohif-extension-stain-normalization']).toBe(version);
  expect(/^## (\d\S*) - /m.exec(read('CHANGELOG.md'))?.[1]).toBe(version);
  expect(read('docs/conformance.md')).toContain(`version ${version}`);
});

describe('a release', () => {
  const changelog = '# Changelog\n\n## Unreleased\n\n- A change.\n\n## 1.0.0 - 2026-01-01\n\n- The first.\n';
  const now = new Date('2026-02-03T12:00:00Z');

  it('dates what was unreleased', () => {
    expect(datedChangelog(changelog, '1.1.0', now)).toBe(
      '# Changelog\n\n## Unreleased\n\n## 1.1.0 - 2026-02-03\n\n- A change.\n\n## 1.0.0 - 2026-01-01\n\n- The first.\n',
    );
  });

  it.each([
    ['a malformed version', changelog, '1.1', 'not a version'],
    ['a version that was released', changelog, '1.0.0', 'already has version 1.0.0'],
    ['nothing to release', datedChangelog(changelog, '1.1.0', now), '1.2.0', 'nothing under'],
    ['a changelog without the heading', '# Changelog\n', '1.1.0', 'no "## Unreleased"'],
  ])('refuses %s', (_what, text, version, why) => {
    expect(() => datedChangelog(text, version, now)).toThrow(why);
  });

  it('changes our versions and no others', () => {
    const text = '"version": "1.0.0", "ohif-extension-stain-normalization": "1.0.0", "other": "1.0.0"';
    expect(withVersion(text, '1.0.0', '1.1.0')).toBe(
      '"version": "1.1.0", "ohif-extension-stain-normalization": "1.1.0", "other": "1.0.0"',
    );
    expect(() => withVersion('nothing', '1.0.0', '1.1.0')).toThrow('does not state version 1.0.0');
  });
});
