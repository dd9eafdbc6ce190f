/** The signed acceptances of a site, as rules need them: which scanners were accepted with what. */
import { statSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { toStainError } from '../../../core/src/errors.ts';
import { invalidSetting } from '../setting.ts';
import { type AcceptanceDocument, readAcceptance, type Signed, signatureFor } from './document.ts';
import { type Scanner, scannerKey, scannerName } from './scanner.ts';

/** Files of a folder that are read, in the order of their names. */
const MAX_FILES = 1000;

/** What was accepted, besides the scanner: another template, model or transfer gives other colours. */
export interface AcceptedMeans {
  readonly templateSha256: string;
  readonly modelSha256: string;
  readonly transfer: string;
}

export interface Decision extends Pick<Signed, 'decision' | 'name' | 'role' | 'signedAt'> {
  readonly scanner: string;
  readonly template: string;
  readonly model: string;
  readonly transfer: string;
}

interface Found extends Decision {
  readonly key: string;
  readonly means: AcceptedMeans;
}

export interface AcceptedState {
  /** The decisions that count: of several on the same, the last. */
  readonly decisions: readonly Decision[];
  /** Files that are not acceptances, or were changed since they were signed. */
  readonly invalid: readonly { readonly file: string; readonly message: string }[];
  /** Keys of the scanners that were accepted with these. */
  scannersFor(means: AcceptedMeans): ReadonlySet<string>;
}

export class Acceptances {
  readonly #path: string;
  /** By name, time and size: a file is parsed again only if it has changed. */
  readonly #read = new LRUCache<string, readonly Found[] | Error>({ max: MAX_FILES });

  /** @param path file or folder, as in rules.acceptance @throws CONFIGURATION_INVALID if it cannot be read */
  constructor(path: string) {
    try {
      statSync(path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw invalidSetting('rules.acceptance', `the file or folder cannot be read (${code}).`, cause);
    }
    this.#path = path;
  }

  /** Files that come, change or go while the service runs count at once. */
  async read(): Promise<AcceptedState> {
    const found: Found[] = [];
    const invalid: { file: string; message: string }[] = [];
    for (const file of await this.#files()) {
      const read = await this.#decisionsOf(file);
      if (read instanceof Error) invalid.push({ file: basename(file), message: read.message });
      else found.push(...read);
    }
    const last = new Map<string, Found>();
    for (const one of found.sort((a, b) => (a.signedAt < b.signedAt ? -1 : 1)))
      last.set(JSON.stringify([one.key, keyOf(one.means)]), one);
    const counting = [...last.values()];
    return {
      decisions: counting.map(({ key: _, means: __, ...decision }) => decision),
      invalid,
      scannersFor: (means) =>
        new Set(
          counting
            .filter((one) => one.decision === 'accepted' && keyOf(one.means) === keyOf(means))
            .map(({ key }) => key),
        ),
    };
  }

  /** A folder that is gone holds nothing: then nothing is accepted. */
  async #files(): Promise<string[]> {
    const isFolder = await stat(this.#path).then(
      (what) => what.isDirectory(),
      () => undefined,
    );
    if (isFolder === undefined) return [];
    if (!isFolder) return [this.#path];
    const names = await readdir(this.#path, { recursive: true }).catch(() => []);
    return names
      .filter((name) => name.endsWith('.json'))
      .sort()
      .slice(0, MAX_FILES)
      .map((name) => join(this.#path, name));
  }

  async #decisionsOf(file: string): Promise<readonly Found[] | Error> {
    try {
      const { mtimeMs, size } = await stat(file);
      const key = `${file} ${mtimeMs} ${size}`;
      let read = this.#read.get(key);
      if (!read) {
        read = await readAcceptance(file).then(decisionsIn, toStainError);
        this.#read.set(key, read);
      }
      return read;
    } catch (error) {
      return toStainError(error);
    }
  }
}

function decisionsIn(document: AcceptanceDocument): Found[] {
  const { template, model, transfer, scanners } = document.content;
  const means = { templateSha256: template.sha256, modelSha256: model.sha256, transfer };
  return scanners.flatMap(({ number, scanner }: { number: number; scanner: Scanner }) => {
    const signed = signatureFor(document, number);
    if (!signed) return [];
    const { decision, name, role, signedAt } = signed;
    return [
      {
        decision,
        name,
        role,
        signedAt,
        scanner: scannerName(scanner),
        template: template.id,
        model: model.name,
        transfer,
        key: scannerKey(scanner),
        means,
      },
    ];
  });
}

function keyOf({ templateSha256, modelSha256, transfer }: AcceptedMeans): string {
  return `${templateSha256} ${modelSha256} ${transfer}`;
}
