/**
 * `acceptance.json`: what was found, and who accepted it. The hash of the content binds the signatures to it: whatever
 * is changed later is noticed. Slides have numbers here; which series they are is in another file.
 */
import { createHash } from 'node:crypto';
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';
import { TRANSFERS } from '../../../core/src/stain/transfer-name.ts';
import { jsonFault } from '../setting.ts';
import { drift } from './drift.ts';
import { proportion } from './proportion.ts';
import { scanner } from './scanner.ts';
import { stainFigures } from './stain-figures.ts';

/** A larger file is none of ours: 100 scanners with 200 slides each need 40 MB. */
const MAX_BYTES = 64 * 2 ** 20;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const text = (max: number) => z.string().trim().min(1).max(max);
const colourDistance = z.strictObject({ nuclei: z.number().nullable(), stroma: z.number().nullable() });
const beforeAndAfter = <T extends z.ZodType>(of: T) => z.strictObject({ before: of, after: of });

export const slideRecord = z.strictObject({
  number: z.int(),
  /** FAILED: nothing is known of the slide, because the archive or this machine failed. */
  state: z.enum(['FITTED', 'REFUSED', 'FAILED']),
  code: z.string().nullable(),
  notes: z.array(z.strictObject({ code: z.string(), message: z.string() })),
  /** How sure it is that the slide is not H&E, 0 to 1. */
  score: z.number().nullable(),
  colourPolicy: z.string().nullable(),
  stain: beforeAndAfter(stainFigures).nullable(),
  /** CIEDE2000 to the template. */
  distance: beforeAndAfter(colourDistance).nullable(),
});
export type SlideRecord = z.infer<typeof slideRecord>;

export const scannerRecord = z.strictObject({
  number: z.int(),
  scanner,
  /** Series of this scanner among those looked at. */
  found: z.int(),
  refused: proportion,
  failed: z.int(),
  refusals: z.record(z.string(), z.int()),
  /** Medians over the slides. */
  score: z.number().nullable(),
  distance: beforeAndAfter(colourDistance),
  drift: z
    .strictObject({
      /** Software of the scanner then, if it was another. */
      softwareBefore: z.array(z.string()).nullable(),
      refusedBefore: proportion,
      /** Null if no slide of the scanner was fitted then or now. */
      found: drift.nullable(),
    })
    .nullable()
    .meta({ description: 'Null without a baseline, or if the baseline does not have this scanner' }),
  slides: z.array(slideRecord),
});
export type ScannerRecord = z.infer<typeof scannerRecord>;

export const acceptanceContent = z.strictObject({
  createdAt: z.iso.datetime(),
  software: z.array(z.string()),
  model: z.strictObject({ name: z.string(), version: z.string(), sha256 }),
  template: z.strictObject({ id: z.string(), sha256 }),
  transfer: z.enum(TRANSFERS),
  seed: z.int(),
  perScanner: z.int(),
  /** Series that were found, and of how many of them the scanner was read. */
  series: z.strictObject({ found: z.int(), read: z.int() }),
  baseline: z.strictObject({ createdAt: z.iso.datetime(), sha256 }).nullable(),
  scanners: z.array(scannerRecord),
});
export type AcceptanceContent = z.infer<typeof acceptanceContent>;

export const DECISIONS = ['accepted', 'rejected'] as const;

const signed = z.strictObject({
  /** Numbers of the scanners that it is about. */
  scanners: z.array(z.int()).min(1),
  decision: z.enum(DECISIONS),
  name: text(200),
  role: text(200),
  remarks: text(2000).nullable(),
  signedAt: z.iso.datetime(),
});
export type Signed = z.infer<typeof signed>;

const acceptanceDocument = z.strictObject({
  schema: z.literal('stain-normalization/acceptance'),
  version: z.literal(1),
  content: acceptanceContent,
  sha256,
  /** The last one about a scanner counts. `sha256` is that of the content's hash and what was signed. */
  signatures: z.array(signed.extend({ sha256 })),
});
export type AcceptanceDocument = z.infer<typeof acceptanceDocument>;

export function newDocument(content: AcceptanceContent): AcceptanceDocument {
  return {
    schema: 'stain-normalization/acceptance',
    version: 1,
    content,
    sha256: hashOf(acceptanceContent.parse(content)),
    signatures: [],
  };
}

/** @throws REQUEST_INVALID for a scanner that is not in it, or of which no slide was fitted and yet accepted */
export function withSignature(document: AcceptanceDocument, wanted: Signed): AcceptanceDocument {
  const { scanners } = document.content;
  const parsed = signed.safeParse(wanted);
  if (!parsed.success) throw new StainError('REQUEST_INVALID', z.prettifyError(parsed.error));
  for (const number of wanted.scanners) {
    const found = scanners.find((one) => one.number === number);
    if (!found)
      throw new StainError(
        'REQUEST_INVALID',
        `There is no scanner ${number} in this acceptance; it has ${scanners.length}.`,
      );
    if (wanted.decision === 'accepted' && !canBeAccepted(found)) {
      const others = acceptable(document).filter((other) => wanted.scanners.includes(other));
      const hint = others.length > 0 ? ` Accept the others with --scanner ${others.join(' ')}.` : '';
      throw new StainError(
        'REQUEST_INVALID',
        `No slide of scanner ${number} was normalised, so there is nothing to accept.${hint}`,
      );
    }
  }
  const signature = { ...parsed.data, sha256: signatureHash(document.sha256, parsed.data) };
  return { ...document, signatures: [...document.signatures, signature] };
}

/** Numbers of the scanners of which somebody could see a normalised slide. */
export function acceptable({ content }: AcceptanceDocument): number[] {
  return content.scanners.filter(canBeAccepted).map(({ number }) => number);
}

function canBeAccepted({ slides }: ScannerRecord): boolean {
  return slides.some(({ state }) => state === 'FITTED');
}

/** The signature that counts for a scanner; undefined if nobody has signed. */
export function signatureFor({ signatures }: AcceptanceDocument, number: number): Signed | undefined {
  return signatures.findLast(({ scanners }) => scanners.includes(number));
}

/** @throws ACCEPTANCE_INVALID if it is no acceptance, or was changed since it was made or signed */
export async function readAcceptance(file: string): Promise<AcceptanceDocument> {
  const invalid = (why: string, cause?: unknown): StainError =>
    new StainError('ACCEPTANCE_INVALID', `"${file}" ${why}`, { cause });
  let json: unknown;
  try {
    const { size } = await stat(file);
    if (size > MAX_BYTES) throw invalid('is too large to be an acceptance.');
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    if (cause instanceof StainError) throw cause;
    throw invalid(jsonFault(cause), cause);
  }
  const parsed = acceptanceDocument.safeParse(json);
  if (!parsed.success) throw invalid(`is not an acceptance: ${firstIssue(parsed.error)}`);
  const document = parsed.data;
  if (hashOf(document.content) !== document.sha256) throw invalid('was changed after it was made.');
  for (const { sha256: found, ...what } of document.signatures)
    if (signatureHash(document.sha256, what) !== found) throw invalid('was changed after it was signed.');
  return document;
}

/** Whoever reads the file meanwhile gets the old one or the new one. */
export async function writeAcceptance(file: string, document: AcceptanceDocument): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  await writeFile(part, `${JSON.stringify(document, null, 2)}\n`, { mode: 0o600 });
  await rename(part, file);
}

/** The same whatever the layout of the file: of the content as the schema orders it. */
function hashOf(content: AcceptanceContent): string {
  return digest(JSON.stringify(content));
}

function signatureHash(content: string, what: Signed): string {
  const { scanners, decision, name, role, remarks, signedAt } = what;
  return digest(JSON.stringify([content, scanners, decision, name, role, remarks, signedAt]));
}

function digest(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}

function firstIssue({ issues }: z.ZodError): string {
  const [issue] = issues;
  return `${issue!.path.join('.') || 'the file'}: ${issue!.message}`;
}
