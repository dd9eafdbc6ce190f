/** `acceptance sign FILE`: records who accepted or rejected which scanners, and when. */
import {
  type AcceptanceDocument,
  readAcceptance,
  type Signed,
  signatureFor,
  withSignature,
  writeAcceptance,
} from '../acceptance/document.ts';
import { scannerName } from '../acceptance/scanner.ts';

export interface SignArguments extends Pick<Signed, 'name' | 'role' | 'decision'> {
  readonly file: string;
  /** Numbers of scanners; empty for all. */
  readonly scanner: readonly number[];
  readonly remarks?: string | undefined;
}

/** @throws ACCEPTANCE_INVALID, REQUEST_INVALID; the file is then as it was */
export async function signCommand({ file, scanner, ...args }: SignArguments): Promise<AcceptanceDocument> {
  const document = await readAcceptance(file);
  const { name, role, decision, remarks = null } = args;
  const all = document.content.scanners.map(({ number }) => number);
  const signed = withSignature(document, {
    scanners: scanner.length > 0 ? [...scanner] : all,
    decision,
    name,
    role,
    remarks,
    signedAt: new Date().toISOString(),
  });
  await writeAcceptance(file, signed);
  return signed;
}

export function describeSigned(document: AcceptanceDocument): string {
  return document.content.scanners
    .map(({ number, scanner }) => {
      const signed = signatureFor(document, number);
      const what = signed
        ? `${signed.decision} by ${signed.name}, ${signed.role}, ${signed.signedAt.slice(0, 10)}`
        : 'not signed';
      return `Scanner ${number}: ${scannerName(scanner)}\n  ${what}`;
    })
    .join('\n');
}
