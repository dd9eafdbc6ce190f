/** Errors of the plugin itself, with messages from strings/. Errors of the service have their own. */
import type { UserError } from './state.ts';
import { type StringKey, translate } from './strings/translate.ts';

const MESSAGES = {
  VIEWER_UNSUPPORTED: 'error.viewerUnsupported',
  SLIDE_LATE: 'error.slideLate',
  SERVICE_AWAY: 'error.serviceAway',
  SESSION_EXPIRED: 'error.sessionExpired',
  PREVIEW_FAILED: 'error.previewFailed',
  PREVIEW_LATE: 'error.previewLate',
  RESULT_MISSING: 'error.resultMissing',
  NOTHING_TO_COMPARE: 'error.nothingToCompare',
  TOO_FEW_RESULTS: 'error.tooFewResults',
  ANNOTATIONS_NOT_KEPT: 'error.annotationsNotKept',
  ALREADY_NORMALIZED: 'error.alreadyNormalized',
} as const satisfies Record<string, StringKey>;

export type PluginErrorCode = keyof typeof MESSAGES;

export class PluginError extends Error {
  override readonly name = 'PluginError';
  readonly user: UserError;

  constructor(code: PluginErrorCode, values: Record<string, string> = {}, cause?: unknown) {
    const key = MESSAGES[code];
    super(translate(key, values), { cause });
    const { reason } = values;
    this.user = {
      code,
      message: this.message,
      remedy: translate(`${key}.remedy`, values),
      ...(reason !== undefined && { reason }),
    };
  }
}

/** A refusal of the service, as an RFC 9457 problem. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly status: number;
  readonly user: UserError;

  constructor(status: number, user: UserError) {
    super(user.message);
    this.status = status;
    this.user = user;
  }
}

export function userErrorOf(thrown: unknown): UserError {
  if (thrown instanceof PluginError || thrown instanceof ServiceError) return thrown.user;
  return {
    code: 'INTERNAL',
    message: translate('error.internal'),
    said: thrown instanceof Error ? thrown.message : String(thrown),
    remedy: translate('error.internal.remedy'),
  };
}
