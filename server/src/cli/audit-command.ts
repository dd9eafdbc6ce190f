/** `audit verify FILE...`: whether an audit trail is whole. */
import { stat } from 'node:fs/promises';
import { type AuditVerification, verifyAuditFiles } from '../audit/audit-file.ts';
import { StainError } from '../errors.ts';

/** @param files oldest first */
export async function auditVerifyCommand(files: readonly string[]): Promise<AuditVerification> {
  for (const file of files)
    await stat(file).catch((cause: unknown) => {
      throw new StainError('REQUEST_INVALID', `There is no file ${file}.`, { cause });
    });
  return verifyAuditFiles(files);
}

export function describeVerification({ events, brokenAt }: AuditVerification): string {
  return brokenAt === undefined
    ? `The trail of ${events} events is whole.`
    : `The trail is broken: line ${brokenAt} does not follow the one before.`;
}
