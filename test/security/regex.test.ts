/**
 * Attack: text made for a regular expression with exponential backtracking (ReDoS). All expressions of the product are
 * checked, because nobody can say which text each will meet.
 */
import { join } from 'node:path';
import { check } from 'recheck';
import { type Node, SyntaxKind } from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/sync';
import { describe, expect, it } from 'vitest';
import { repository } from '../support/peers.ts';

const PROJECTS = ['tsconfig.json', 'extension/tsconfig.json'].map((name) => join(repository, name));
const SOURCES = ['server/src/', 'extension/src/'].map((folder) => join(repository, folder));

/** Expressions that may be slow nevertheless, each with the reason; and places where one is built from text. */
const EXCEPTIONS: ReadonlyMap<string, string> = new Map();

interface Found {
  /** Relative to the repository. */
  readonly file: string;
  /** As it stands in the source. */
  readonly text: string;
  readonly kind: 'literal' | 'built from text';
}

/** All regular expressions of the sources, by TypeScript's own parser. */
function expressions(): Found[] {
  const api = new API({ cwd: repository });
  const found = new Map<string, Found>();
  try {
    for (const { program } of api.updateSnapshot({ openProjects: PROJECTS }).getProjects())
      for (const path of program.getSourceFileNames()) {
        if (!SOURCES.some((folder) => path.startsWith(folder))) continue;
        const file = path.slice(repository.length).replace(/^\//, '');
        const take = (text: string, kind: Found['kind']) =>
          found.set(`${file} ${text}`, { file, text, kind });
        const visit = (node: Node): void => {
          if (node.kind === SyntaxKind.RegularExpressionLiteral) take(node.getText(), 'literal');
          // `RegExp` as a value: called, constructed, or passed on.
          if (node.kind === SyntaxKind.Identifier && node.getText() === 'RegExp' && !isType(node.parent))
            take(node.parent.getText(), 'built from text');
          node.forEachChild(visit);
        };
        const source = program.getSourceFile(path);
        if (source) visit(source);
      }
  } finally {
    api.close();
  }
  return [...found.values()];
}

function isType({ kind }: Node): boolean {
  return kind === SyntaxKind.TypeReference;
}

const all = expressions();

describe('Regular expressions', () => {
  it('are found in both parts of the product', () => {
    const files = all.map(({ file }) => file);
    expect(files.some((file) => file.startsWith('server/src/'))).toBe(true);
    expect(files.some((file) => file.startsWith('extension/src/'))).toBe(true);
    expect(all.length).toBeGreaterThan(50);
  });

  it('are never built from text, which may come from a request', () => {
    const made = all.filter(({ kind, text }) => kind === 'built from text' && !EXCEPTIONS.has(text));
    expect(made).toEqual([]);
  });

  it('take no text for long: none backtracks more than linearly', async () => {
    const slow: { file: string; text: string; status: string; attack: string | undefined }[] = [];
    for (const { file, text, kind } of all) {
      if (kind !== 'literal' || EXCEPTIONS.has(text)) continue;
      const result = await backtracking(text);
      if (result.status !== 'safe') slow.push({ file, text, ...result });
    }
    expect(slow).toEqual([]);
  });

  it('that backtrack are noticed by this test', async () => {
    expect((await backtracking('/^(a+)+$/')).status).toBe('vulnerable');
    // The expression that a search for `*?*?*?` was once converted to.
    expect((await backtracking(`/^${'.*.'.repeat(5)}b$/su`)).status).toBe('vulnerable');
  });

  it('that are excepted still exist', () => {
    const texts = new Set(all.map(({ text }) => text));
    expect([...EXCEPTIONS.keys()].filter((text) => !texts.has(text))).toEqual([]);
  });
});

async function backtracking(literal: string): Promise<{ status: string; attack: string | undefined }> {
  const end = literal.lastIndexOf('/');
  const found = await check(literal.slice(1, end), literal.slice(end + 1), {
    timeout: 20_000,
    // The result is the same each time.
    randomSeed: 1,
  });
  return { status: found.status, attack: found.status === 'vulnerable' ? found.attack.pattern : undefined };
}
