/** The audit trail: to a file, to syslog over TLS, or to both. A fault of it stops no work, and is not kept quiet. */
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';
import { type AuditEntry, auditEvent } from './audit-event.ts';
import { AuditFile } from './audit-file.ts';
import { Syslog } from './syslog.ts';

export interface AuditTrail extends AsyncDisposable {
  record(entry: AuditEntry): void;
  /** Opens the file anew, after it was renamed. */
  rotate(): Promise<void>;
  /** @throws AUDIT_FAILED while the file cannot be written */
  check(): Promise<void>;
}

export interface AuditTrailOptions {
  readonly log: Logger;
  /** After an event was lost on one of its ways. */
  readonly onLost: (way: 'file' | 'syslog') => void;
}

/** @throws CONFIGURATION_INVALID */
export async function openAuditTrail(
  { audit }: Pick<Config, 'audit'>,
  { log, onLost }: AuditTrailOptions,
): Promise<AuditTrail> {
  const observer = `stain-normalization on ${hostname()}`;
  const file = audit.file === undefined ? undefined : await AuditFile.open(audit.file);
  const { host } = audit.syslog;
  const syslog =
    host === undefined
      ? undefined
      : await Syslog.open(
          { ...audit.syslog, host },
          {
            onDropped: () => onLost('syslog'),
            onFault: (err) => log.warn({ err }, 'no connection to the receiver of the audit trail'),
          },
        );
  let fault: unknown;
  return {
    record(entry) {
      const recorded = new Date().toISOString();
      const event = auditEvent(entry, observer, recorded);
      syslog?.send(event, recorded);
      file?.append(event).then(
        () => {
          fault = undefined;
        },
        (err: unknown) => {
          fault = err;
          log.error({ err }, 'an event of the audit trail could not be written');
          onLost('file');
        },
      );
    },
    rotate: async () => file?.reopen(),
    async check() {
      if (fault) throw new StainError('AUDIT_FAILED', 'The audit trail cannot be written.', { cause: fault });
    },
    async [Symbol.asyncDispose]() {
      await file?.close();
      await syslog?.close();
    },
  };
}
