/** The audit trail: to a file, to syslog over TLS, or to both. A fault does not stop any work, but it is reported. */
import { hostname } from 'node:os';
import type { Readable } from 'node:stream';
import type { Logger } from 'pino';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import type { AnchorStore } from './anchor.ts';
import { type AuditEntry, auditEvent } from './audit-event.ts';
import { AuditFile } from './audit-file.ts';
import { readAuditKey } from './audit-key.ts';
import { RepeatedRefusals } from './repeated-refusals.ts';
import { Syslog } from './syslog.ts';
import type { Loss } from './waiting-events.ts';

/** A disk that accepts nothing for this long counts as hanging. */
const SILENCE_MS = 10_000;

export interface AuditTrail extends AsyncDisposable {
  /** Repeated refusals are summarised. */
  record(entry: AuditEntry): void;
  /** The file of this process, as of now; undefined if the trail goes elsewhere or cannot be read back. */
  read(): Promise<Readable | undefined>;
  /** Reopens the file after it was renamed. */
  rotate(): Promise<void>;
  /** @throws AUDIT_FAILED while the file cannot be written, or if events were lost and the trail does not say so yet */
  check(): Promise<void>;
  /**
   * From now on, also writes anchors to the store: at once, at the interval, and when the returned object is disposed.
   */
  anchorIn(store: AnchorStore): Promise<AsyncDisposable>;
}

export interface AuditTrailOptions {
  readonly log: Logger;
  /** Called when an event is lost on one of the ways. */
  readonly onLost: (way: 'file' | 'syslog') => void;
}

/** @throws CONFIGURATION_INVALID */
export async function openAuditTrail(
  { audit }: Pick<Config, 'audit'>,
  { log, onLost }: AuditTrailOptions,
): Promise<AuditTrail> {
  const observer = `stain-normalization on ${hostname()}`;
  const optionsOf = (way: 'file' | 'syslog') => ({
    onLost(isFirst: boolean) {
      if (isFirst) log.error({ way }, 'events of the audit trail are lost');
      onLost(way);
    },
    tell: (loss: Loss) => auditEvent({ event: 'audit-lost', outcome: 'fault', ...loss }, observer, loss.to),
  });
  const key = audit.keyFile === undefined ? undefined : await readAuditKey(audit.keyFile);
  const onFault = (err: unknown) => log.error({ err }, 'the audit trail cannot be written');
  const file =
    audit.file === undefined
      ? undefined
      : await AuditFile.open(audit.file, { ...optionsOf('file'), key, onFault });
  const { host } = audit.syslog;
  const syslog =
    host === undefined
      ? undefined
      : await Syslog.open(
          { ...audit.syslog, host },
          {
            ...optionsOf('syslog'),
            onFault: (err) => log.warn({ err }, 'the receiver of the audit trail cannot be reached'),
          },
        );
  const write = (entry: AuditEntry): void => {
    const recorded = new Date().toISOString();
    const event = auditEvent(entry, observer, recorded);
    syslog?.send(event, recorded);
    file?.append(event);
  };
  const refusals = new RepeatedRefusals(write);

  let store: AnchorStore | undefined;
  /** Sequence number of the last anchor, for each way. */
  const anchored = { store: 0, syslog: 0 };
  const anchor = async (): Promise<void> => {
    await file?.settle();
    const head = file?.head;
    if (!head) return;
    const recorded = new Date().toISOString();
    if (syslog && head.sequence > anchored.syslog) {
      anchored.syslog = head.sequence;
      syslog.send(
        auditEvent({ event: 'audit-anchored', outcome: 'success', anchor: head }, observer, recorded),
        recorded,
      );
    }
    if (!store || head.sequence <= anchored.store) return;
    try {
      await store.add({ ...head, observer, recorded });
      anchored.store = head.sequence;
    } catch (err) {
      log.warn({ err }, 'the audit trail could not be anchored in the database');
    }
  };
  const interval = setInterval(() => void anchor(), audit.anchorMinutes * 60_000).unref();
  return {
    record(entry) {
      if (entry.event === 'access-refused') refusals.add(entry);
      else write(entry);
    },
    read: async () => file?.read(),
    rotate: async () => file?.reopen(),
    async check() {
      const isSilent = (file?.waitsMs ?? 0) > SILENCE_MS;
      if (file?.fault || isSilent)
        throw new StainError('AUDIT_FAILED', 'The audit trail cannot be written.', { cause: file?.fault });
      if (file?.hasLost || syslog?.hasLost)
        throw new StainError('AUDIT_FAILED', 'Events of the audit trail were lost.');
    },
    async anchorIn(wanted) {
      store = wanted;
      await anchor();
      return {
        async [Symbol.asyncDispose]() {
          refusals.flush();
          await anchor();
          store = undefined;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      clearInterval(interval);
      refusals.close();
      await anchor();
      await file?.close();
      await syslog?.close();
    },
  };
}
