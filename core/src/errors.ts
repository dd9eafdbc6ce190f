/**
 * Every error a user can meet, in one table: its stable code, the HTTP status it becomes, and what to do.
 * The message of a `StainError` says what happened; `remedy` (from here) says what to do about it.
 */
interface ErrorRow {
  /** HTTP status. */
  readonly status: number;
  readonly remedy: string;
  /** Neither slide nor request is at fault: the job waits and retries. */
  readonly transient?: true;
  /** A job that ends with this code keeps its spool: a repeated request resumes the work. */
  readonly resumable?: true;
}

export const ERROR_TABLE = {
  // The slide itself
  NOT_WHOLE_SLIDE: {
    status: 422,
    remedy: 'Choose a series of modality SM (VL Whole Slide Microscopy Image).',
  },
  PIXEL_FORMAT_UNSUPPORTED: {
    status: 422,
    remedy: 'Only images with three 8-bit colour samples per pixel can be normalised.',
  },
  FLUORESCENCE_UNSUPPORTED: {
    status: 422,
    remedy: 'Stain normalization is defined for brightfield slides only.',
  },
  FOCAL_PLANES_UNSUPPORTED: { status: 422, remedy: 'Choose a slide with one focal plane.' },
  OPTICAL_PATHS_UNSUPPORTED: { status: 422, remedy: 'Choose a slide with one optical path.' },
  SEVERAL_SLIDES: {
    status: 422,
    remedy:
      'Request one slide at a time, with "slide" (--slide) and the SOP Instance UID that the message names. Slides that cannot be told apart must be stored as separate series.',
  },
  SLIDE_NOT_FOUND: {
    status: 404,
    remedy: 'Set "slide" to the SOP Instance UID of an image of the slide, or omit it.',
  },
  NO_VOLUME_LEVEL: {
    status: 422,
    remedy: 'The series holds no VOLUME image; choose the series with the slide.',
  },
  SLIDE_STRUCTURE_INVALID: {
    status: 422,
    remedy: 'Attributes of the slide contradict each other; check what made or changed it.',
  },
  SLIDE_TOO_LARGE: {
    status: 413,
    remedy: 'Raise limits.maxSlideMegapixels or limits.maxInstanceBytes in the configuration.',
  },
  TRANSFER_SYNTAX_UNSUPPORTED: {
    status: 422,
    remedy: 'The README lists the transfer syntaxes that can be read; convert the slide to one of them.',
  },
  DICOM_INVALID: {
    status: 422,
    remedy: 'The instance is damaged or not DICOM; send it to the archive again.',
  },
  FRAME_INVALID: { status: 422, remedy: 'A frame cannot be decoded; the slide in the archive is damaged.' },
  FRAME_SIZE_MISMATCH: {
    status: 422,
    remedy: 'Header and codestream give different frame sizes; check the converter that made the slide.',
  },
  FRAME_TOO_LARGE: {
    status: 413,
    remedy: 'Request a coarser level of the slide; this frame is too large to be made into a picture.',
  },
  ICC_PROFILE_INVALID: {
    status: 422,
    remedy: 'Set colour.onInvalidProfile to "ignore" to treat the slide as sRGB.',
  },
  TOO_LITTLE_TISSUE: {
    status: 422,
    remedy: 'There is not enough stained tissue to fit the stain; nothing was stored.',
  },
  STAIN_NOT_HE: {
    status: 422,
    remedy:
      'Only slides stained with haematoxylin and eosin are normalised. If this is one, or its colours do not matter, it can be normalised all the same from the command line (--any-stain) or through the API ("anyStain"); the derived header records it.',
  },
  LEVELS_DISAGREE: {
    status: 422,
    remedy:
      'Normalise the slide with a job, which makes such a level from the base level. The normalised archive works frame by frame and cannot do this.',
  },
  // Request
  REQUEST_INVALID: { status: 400, remedy: 'Correct the request as the message says.' },
  TARGET_REFUSED: {
    status: 400,
    remedy: 'Request a DICOMweb resource, with the parameters that docs/conformance.md lists.',
  },
  MISDIRECTED_REQUEST: {
    status: 421,
    remedy: 'Use an address of this host, or add the name of the service to server.allowedHosts.',
  },
  ORIGIN_REFUSED: {
    status: 403,
    remedy:
      'Add the origin of the page to server.allowedOrigins. For a page of the service itself behind a reverse proxy: name the proxy in server.trustedProxies, and let it forward host and protocol.',
  },
  UNAUTHENTICATED: { status: 401, remedy: 'Sign in, and send the token with the request.' },
  FORBIDDEN: { status: 403, remedy: 'Ask the administrator for the permission that the message names.' },
  LOGIN_UNAVAILABLE: {
    status: 503,
    remedy:
      'Try again in a moment. Administrators: check that the issuer (oidc.issuer) can be reached, and that NODE_EXTRA_CA_CERTS names its CA if the certificate is from a private one.',
  },
  AUDIT_FAILED: {
    status: 503,
    remedy: 'Make sure that audit.file can be written: check its folder, its owner and the disk.',
  },
  RATE_LIMITED: {
    status: 429,
    remedy:
      'Send fewer requests; Retry-After says when to continue. Or raise limits.requestsPerSecond and limits.requestsPerSecondPerAddress.',
  },
  TOO_MANY_STREAMS: {
    status: 429,
    remedy:
      'Close event streams that you do not need, or request the job itself. Or raise limits.eventStreamsPerUser and limits.eventStreams.',
  },
  CONFIGURATION_INVALID: { status: 500, remedy: 'Correct the configuration as the message says.' },
  NOT_ACCEPTABLE: { status: 406, remedy: 'Request a media type that the message names.' },
  NOT_FOUND: { status: 404, remedy: 'Check the identifier.' },
  SERIES_NOT_FOUND: {
    status: 404,
    remedy: 'Check the Study and Series Instance UID and that the archive holds them.',
  },
  ARCHIVE_NOT_FOUND: {
    status: 404,
    remedy:
      'Name an archive of GET /api/archives (those of the setting "archives"), or none for the default one.',
  },
  ARCHIVE_READ_ONLY: {
    status: 403,
    remedy: 'Name another archive as destination: GET /api/archives says which may be written to.',
  },
  TEMPLATE_NOT_FOUND: {
    status: 404,
    remedy: 'List the templates with GET /api/templates or "stain-normalization info".',
  },
  TEMPLATE_INVALID: {
    status: 422,
    remedy: 'Make the template again with "template add", for the current model.',
  },
  TEMPLATE_OUTDATED: {
    status: 409,
    remedy: 'Make the template again from its series or pictures, then repeat the request.',
  },
  TEMPLATE_CHANGED: {
    status: 409,
    remedy: 'Repeat the request: it makes a new job with the current template.',
  },
  TEMPLATE_EXISTS: {
    status: 409,
    remedy: 'Choose another template id, or replace the template if it is yours.',
  },
  TEMPLATE_SHIPPED: {
    status: 409,
    remedy: 'Choose another template id: shipped templates can be neither replaced nor removed.',
  },
  TEMPLATE_IN_USE: {
    status: 409,
    remedy:
      'Wait for the jobs, or confirm the removal (confirm=true): the jobs keep the template they were requested with.',
  },
  TEMPLATE_LIMIT: {
    status: 409,
    remedy:
      'Remove templates that you do not need, or raise limits.templatesPerUser and limits.templateBytes.',
  },
  MODEL_NOT_FOUND: {
    status: 404,
    remedy: 'List the models with GET /api/models or "stain-normalization info".',
  },
  JOB_NOT_FOUND: { status: 404, remedy: 'List the jobs with GET /api/normalizations.' },
  BATCH_NOT_FOUND: { status: 404, remedy: 'List your batches with GET /api/batches.' },
  RULE_NOT_FOUND: {
    status: 404,
    remedy: 'List the rules with GET /api/rules; they are defined in the file that rules.file names.',
  },
  ACCEPTANCE_INVALID: {
    status: 422,
    remedy:
      'Name a file that "stain-normalization acceptance" wrote. If it was changed since, make the acceptance again and let it be signed again.',
  },
  SCANNER_NOT_ACCEPTED: {
    status: 409,
    remedy:
      'Make an acceptance of the slides of this scanner ("stain-normalization acceptance"), have it signed, and put it where rules.acceptance says; the slides are then picked up at the next search. Or give the rule a reason to do without (withoutAcceptance).',
  },
  RESULT_NOT_FOUND: { status: 404, remedy: 'List the stored results with GET /api/results.' },
  RESULT_NOT_OURS: {
    status: 422,
    remedy: 'Only series that this product made can be rejected; reject others in the archive.',
  },
  BATCH_TOO_LARGE: { status: 413, remedy: 'Narrow the search, or raise limits.seriesPerBatch.' },
  WORKITEM_NOT_FOUND: { status: 404, remedy: 'Search for work items with GET /ups-rs/workitems.' },
  WORKITEM_EXISTS: { status: 409, remedy: 'Use the existing work item, whose URL is in Location.' },
  WORKITEM_STATE: {
    status: 409,
    remedy: 'Retrieve the work item to see its state; only the service can change it.',
  },
  QUEUE_FULL: {
    status: 429,
    remedy: 'Try again when the queue is shorter. For jobs, you can raise limits.maxQueuedJobs.',
  },
  SHUTTING_DOWN: { status: 503, remedy: 'The service is stopping; try again when it is back.' },
  SOURCE_CHANGED: {
    status: 409,
    remedy: 'Repeat the request: the slide is normalised with the instances that it has now.',
  },
  WORK_CHANGED: {
    status: 409,
    remedy: 'Repeat the request: the slide is normalised with the current model, software and settings.',
  },
  NOT_STORED: {
    status: 409,
    remedy:
      'Request metadata and frames instead. If you need files, let a job store the series (POST /api/normalizations), under the same UIDs.',
  },
  SERIES_ARRIVING: {
    status: 409,
    remedy:
      'Try again when the slide has arrived. It counts as complete when no new instance has arrived for jobs.stableSeconds.',
  },
  SERIES_UNREPEATABLE: {
    status: 409,
    remedy: 'Repeat the request: it makes a new series in place of the one that cannot be completed.',
  },
  ALREADY_NORMALIZED: {
    status: 409,
    remedy: 'Choose the original slide; batches skip the results of this product.',
  },
  SERIES_IN_PROGRESS: {
    status: 409,
    remedy:
      'Repeat the request when the other process has ended; three minutes later, if it was killed on another host.',
  },
  JOB_FINISHED: { status: 409, remedy: 'The job has already ended.' },
  IMAGE_INVALID: { status: 422, remedy: 'Provide a PNG, JPEG or TIFF file in 8-bit RGB.' },
  // Archive
  ARCHIVE_UNREACHABLE: {
    resumable: true,
    status: 502,
    remedy: 'Check the DICOMweb URL and that the archive is running.',
  },
  ARCHIVE_UNTRUSTED: {
    resumable: true,
    status: 502,
    remedy:
      'Add the CA of that certificate to dicomweb.tls.caFile, or to the file that NODE_EXTRA_CA_CERTS names. If the code says that the certificate has expired, renew it; if it is for another host, correct the host in dicomweb.url or the certificate.',
  },
  ARCHIVE_TLS_FAILED: {
    resumable: true,
    status: 502,
    remedy:
      'Check that the port in dicomweb.url speaks TLS 1.2 or newer. If the archive requires a client certificate, set dicomweb.tls.certFile and dicomweb.tls.keyFile to one that it accepts.',
  },
  ARCHIVE_TIMEOUT: {
    transient: true,
    resumable: true,
    status: 504,
    remedy: 'The archive did not answer in time; try again or raise dicomweb.timeoutSeconds.',
  },
  ARCHIVE_LOGIN_FAILED: {
    resumable: true,
    status: 502,
    remedy:
      'Check dicomweb.oauth, and that the token endpoint can be reached and knows the client. For a private CA, name its certificate in NODE_EXTRA_CA_CERTS.',
  },
  ARCHIVE_REFUSED: {
    resumable: true,
    status: 502,
    remedy:
      'The archive refused the request. For 401 or 403, check the credentials and their permissions. For another status, the archive does not support the request; see its log.',
  },
  ARCHIVE_LACKING: {
    resumable: true,
    status: 502,
    remedy:
      'The archive does not support what the message names. "stain-normalization info --archive URL" shows what it supports; other settings or a newer version may help.',
  },
  ARCHIVE_WITHOUT_USERS: {
    status: 502,
    remedy:
      'Set dicomweb.users to "unknown" if every user who may read here may see everything in the archive. Otherwise configure the archive to accept the tokens of users.',
  },
  ARCHIVE_ERROR: { resumable: true, status: 502, remedy: 'The archive failed; check its log and try again.' },
  ARCHIVE_PROTOCOL: {
    resumable: true,
    status: 502,
    remedy: 'The archive sent a malformed answer; check proxies between it and this service.',
  },
  ARCHIVE_TRUNCATED: {
    resumable: true,
    status: 502,
    remedy: 'The connection was closed before the answer was complete; try again.',
  },
  STORE_REJECTED: {
    resumable: true,
    status: 502,
    remedy: 'The archive did not accept the derived series; see the failure reason.',
  },
  STORE_UNVERIFIED: {
    resumable: true,
    status: 502,
    remedy: 'The archive accepted the series but does not show it; check its storage.',
  },
  SERVICE_UNREACHABLE: {
    status: 502,
    remedy:
      'Check the address after --to, and that the service is running. For a private CA, name its certificate in NODE_EXTRA_CA_CERTS.',
  },
  PAYLOAD_TOO_LARGE: {
    resumable: true,
    status: 413,
    remedy: 'Send a smaller body, or raise the limit.',
  },
  // Model and machine
  DATABASE_UNAVAILABLE: {
    status: 503,
    remedy:
      'Try again in a moment. Administrators: check that the database (database.url) is running and can be reached.',
  },
  DATABASE_NEWER: {
    status: 500,
    remedy:
      'Start the version of the product that used this database last, or restore the backup from before the update.',
  },
  MODEL_INVALID: { status: 500, remedy: 'The model files do not match their manifest; install them again.' },
  DEVICE_UNAVAILABLE: {
    status: 500,
    remedy: 'Choose device "auto" or "cpu", or install what the message names.',
  },
  CUDA_PACKAGE_INVALID: {
    status: 500,
    remedy: 'Provide the package that the message names, or let "stain-normalization install-cuda" fetch it.',
  },
  VIEWER_UNAVAILABLE: {
    status: 500,
    remedy: 'Set viewer.package to the package file, or viewer.enabled to false.',
  },
  INFERENCE_FAILED: { status: 500, remedy: 'See the log; report this with the job id.' },
  SPOOL_FULL: {
    transient: true,
    status: 507,
    remedy: 'Free space in the spool folder, raise spool.quotaBytes or set spool.directory to a larger disk.',
  },
  SPOOL_TOO_SMALL: {
    status: 507,
    remedy:
      'The slide does not fit into this spool: raise spool.quotaBytes or set spool.directory to a larger disk, and repeat the request.',
  },
  // Course of a job
  CANCELLED: { status: 409, remedy: 'The job was cancelled; it shows what the archive had stored by then.' },
  FIT_TIMED_OUT: {
    status: 504,
    remedy: 'Try again; if the archive is slow, raise limits.fitTimeoutSeconds.',
  },
  TIMED_OUT: { resumable: true, status: 504, remedy: 'Raise limits.jobTimeoutMinutes.' },
  INTERNAL: { status: 500, remedy: 'This is a fault of the product; report it with the log.' },
} as const satisfies Readonly<Record<string, ErrorRow>>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** When the same request may be repeated. */
export interface Retry {
  /** Milliseconds, if the other side asked for a delay. */
  readonly afterMs?: number | undefined;
}

export interface StainErrorOptions {
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
  /** Set if the fault may be gone when the request is repeated. */
  readonly retry?: Retry | undefined;
  /** Sent in place of a refusal, so that nobody learns what exists. */
  readonly hides?: boolean | undefined;
}

/** An error with a stable code. `data` holds machine-readable facts; never patient data or tokens. */
export class StainError extends Error {
  readonly code: ErrorCode;
  readonly data: Readonly<Record<string, unknown>>;
  readonly retry: Retry | undefined;
  readonly hides: boolean;

  constructor(code: ErrorCode, message: string, options: StainErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StainError';
    this.code = code;
    this.data = options.data ?? {};
    this.retry = options.retry;
    this.hides = options.hides ?? false;
  }

  /** Whether a retry may succeed: neither slide nor request is at fault. */
  get isTransient(): boolean {
    return this.retry !== undefined || rowOf(this.code).transient === true;
  }

  get status(): number {
    return rowOf(this.code).status;
  }

  get remedy(): string {
    return rowOf(this.code).remedy;
  }
}

/** Whether a job that ended with this code resumes when it is requested again. */
export function isResumable(code: string): boolean {
  return Object.hasOwn(ERROR_TABLE, code) && rowOf(code as ErrorCode).resumable === true;
}

/** Whether a code says that what is stored cannot be used: asking again, or for something else, does not change it. */
export function isOfContent(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, code) && rowOf(code as ErrorCode).status === 422;
}

function rowOf(code: ErrorCode): ErrorRow {
  return ERROR_TABLE[code];
}

/** Converts anything thrown to a StainError: aborts become CANCELLED or TIMED_OUT, unknown errors INTERNAL. */
export function toStainError(thrown: unknown): StainError {
  if (thrown instanceof StainError) return thrown;
  if (thrown instanceof Error) {
    if (thrown.name === 'AbortError') return new StainError('CANCELLED', 'Cancelled.', { cause: thrown });
    if (thrown.name === 'TimeoutError') return new StainError('TIMED_OUT', 'Timed out.', { cause: thrown });
    if ((thrown as NodeJS.ErrnoException).code === 'ENOSPC')
      return new StainError('SPOOL_FULL', 'No space left on the disk.', { cause: thrown });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new StainError('INTERNAL', message, { cause: thrown });
}
