/**
 * Every error a user can meet, in one table: its stable code, the HTTP status it becomes, and what to do.
 * The message of a `StainError` says what happened; `remedy` (from here) says what to do about it.
 */
export const ERROR_TABLE = {
  // The slide itself
  NOT_WHOLE_SLIDE: {
    status: 422,
    remedy: 'Choose a series of modality SM (VL Whole Slide Microscopy Image).',
  },
  PIXEL_FORMAT_UNSUPPORTED: {
    status: 422,
    remedy: 'Only images of three 8-bit colour samples can be normalised.',
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
      'Ask for one slide at a time: with "slide" (--slide), the SOP Instance UID that the message names. What cannot be told apart must be stored as series of their own.',
  },
  SLIDE_NOT_FOUND: {
    status: 404,
    remedy: 'Give as "slide" the SOP Instance UID of an image of the slide, or leave it out.',
  },
  NO_VOLUME_LEVEL: {
    status: 422,
    remedy: 'The series holds no VOLUME image; choose the series with the slide.',
  },
  SLIDE_STRUCTURE_INVALID: {
    status: 422,
    remedy: 'The tiling attributes contradict each other; check the converter that made the slide.',
  },
  SLIDE_TOO_LARGE: {
    status: 413,
    remedy: 'Raise limits.maxSlideMegapixels or limits.maxInstanceBytes in the configuration.',
  },
  TRANSFER_SYNTAX_UNSUPPORTED: { status: 422, remedy: 'See the README for the list of transfer syntaxes.' },
  DICOM_INVALID: {
    status: 422,
    remedy: 'The instance is damaged or not DICOM; send it to the archive again.',
  },
  FRAME_INVALID: { status: 422, remedy: 'A frame cannot be decoded; the slide in the archive is damaged.' },
  FRAME_SIZE_MISMATCH: {
    status: 422,
    remedy: 'Frame size in header and codestream differ; the slide was converted wrongly.',
  },
  FRAME_TOO_LARGE: {
    status: 413,
    remedy: 'Ask for a coarser level of the slide; pictures of this size are not made.',
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
      'Only slides stained with haematoxylin and eosin are normalised. If this is one, or its colours may mean nothing, ask with "anyStain" (--any-stain); the derived header records it.',
  },
  // Request
  REQUEST_INVALID: { status: 400, remedy: 'Correct the request as the message says.' },
  TARGET_REFUSED: {
    status: 400,
    remedy: 'Ask for a resource of DICOMweb, with the parameters that docs/conformance.md names.',
  },
  MISDIRECTED_REQUEST: {
    status: 421,
    remedy: 'Ask by an address of this host, or add the name of the service to server.allowedHosts.',
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
    remedy: 'Try again in a moment. For administrators: see that the issuer (oidc.issuer) can be reached.',
  },
  AUDIT_FAILED: {
    status: 503,
    remedy: 'See that audit.file can be written: its folder, its owner, the disk.',
  },
  RATE_LIMITED: {
    status: 429,
    remedy:
      'Ask less often; Retry-After says when. limits.requestsPerSecond and limits.requestsPerSecondPerAddress can be raised.',
  },
  TOO_MANY_STREAMS: {
    status: 429,
    remedy:
      'Close event streams that are not needed, or ask for the job itself. limits.eventStreamsPerUser and limits.eventStreams can be raised.',
  },
  CONFIGURATION_INVALID: { status: 500, remedy: 'Correct the configuration as the message says.' },
  NOT_ACCEPTABLE: { status: 406, remedy: 'Ask for a media type that the message names.' },
  NOT_FOUND: { status: 404, remedy: 'Check the identifier.' },
  SERIES_NOT_FOUND: {
    status: 404,
    remedy: 'Check the Study and Series Instance UID and that the archive holds them.',
  },
  TEMPLATE_NOT_FOUND: {
    status: 404,
    remedy: 'List the templates with GET /api/templates or "stain-normalization info".',
  },
  TEMPLATE_INVALID: {
    status: 422,
    remedy: 'Make the template again with "template add" for the current model.',
  },
  TEMPLATE_OUTDATED: {
    status: 409,
    remedy: 'Make the template again from its series or pictures, then ask again.',
  },
  TEMPLATE_CHANGED: {
    status: 409,
    remedy: 'Ask again: a new job is made with the template as it is now.',
  },
  TEMPLATE_EXISTS: {
    status: 409,
    remedy: 'Choose another template id, or replace the template if it is yours.',
  },
  TEMPLATE_SHIPPED: {
    status: 409,
    remedy: 'Choose another template id: those of the product are neither replaced nor removed.',
  },
  TEMPLATE_IN_USE: {
    status: 409,
    remedy: 'Wait for the jobs, or confirm the removal (confirm=true): they keep what they were asked with.',
  },
  TEMPLATE_LIMIT: {
    status: 409,
    remedy:
      'Remove templates that are not needed. limits.templatesPerUser and limits.templateBytes can be raised.',
  },
  MODEL_NOT_FOUND: {
    status: 404,
    remedy: 'List the models with GET /api/models or "stain-normalization info".',
  },
  JOB_NOT_FOUND: { status: 404, remedy: 'List the jobs with GET /api/normalizations.' },
  BATCH_NOT_FOUND: { status: 404, remedy: 'List your batches with GET /api/batches.' },
  BATCH_TOO_LARGE: { status: 413, remedy: 'Narrow the search, or raise limits.seriesPerBatch.' },
  WORKITEM_NOT_FOUND: { status: 404, remedy: 'Search for work items with GET /ups-rs/workitems.' },
  WORKITEM_EXISTS: { status: 409, remedy: 'Follow the work item that Location names.' },
  WORKITEM_STATE: {
    status: 409,
    remedy: 'Look at the state of the work item; the service performs it itself.',
  },
  QUEUE_FULL: {
    status: 429,
    remedy: 'Try again when some of what waits is done. For jobs, limits.maxQueuedJobs can be raised.',
  },
  SHUTTING_DOWN: { status: 503, remedy: 'The service is stopping; try again when it is back.' },
  SOURCE_CHANGED: {
    status: 409,
    remedy: 'Ask again: the slide is normalised with the instances that it has now.',
  },
  WORK_CHANGED: {
    status: 409,
    remedy: 'Ask again: the slide is normalised with the model, software and settings that there are now.',
  },
  SERIES_ARRIVING: {
    status: 409,
    remedy: 'Ask again when the slide has arrived; jobs.stableSeconds says how long nothing new may come.',
  },
  SERIES_UNREPEATABLE: {
    status: 409,
    remedy: 'Ask again: a new series is made in place of the one that cannot be completed.',
  },
  ALREADY_NORMALIZED: {
    status: 409,
    remedy: 'Choose the original slide; a batch leaves the results of this product out.',
  },
  JOB_FINISHED: { status: 409, remedy: 'The job has ended already.' },
  IMAGE_INVALID: { status: 422, remedy: 'Give a PNG, JPEG or TIFF file in 8-bit RGB.' },
  // Archive
  ARCHIVE_UNREACHABLE: { status: 502, remedy: 'Check the DICOMweb URL and that the archive is running.' },
  ARCHIVE_TIMEOUT: {
    status: 504,
    remedy: 'The archive did not answer in time; try again or raise dicomweb.timeoutSeconds.',
  },
  ARCHIVE_LOGIN_FAILED: {
    status: 502,
    remedy: 'Check dicomweb.oauth, and that the token endpoint can be reached and knows the client.',
  },
  ARCHIVE_REFUSED: {
    status: 502,
    remedy:
      'The archive refused the request. With 401 or 403, check its credentials and what they may do; with another status it does not support what was asked for: its log says more.',
  },
  ARCHIVE_LACKING: {
    status: 502,
    remedy:
      'The archive cannot do what the message names. "stain-normalization info --archive URL" shows what it can; its settings or a newer version may mend it.',
  },
  ARCHIVE_ERROR: { status: 502, remedy: 'The archive failed; check its log and try again.' },
  ARCHIVE_PROTOCOL: {
    status: 502,
    remedy: 'The archive sent a malformed answer; check proxies between it and this service.',
  },
  ARCHIVE_TRUNCATED: { status: 502, remedy: 'The connection closed half-way; try again.' },
  STORE_REJECTED: {
    status: 502,
    remedy: 'The archive did not accept the derived series; see the failure reason.',
  },
  STORE_UNVERIFIED: {
    status: 502,
    remedy: 'The archive accepted the series but does not show it; check its storage.',
  },
  SERVICE_UNREACHABLE: {
    status: 502,
    remedy: 'Check the address after --to, and that the service is running.',
  },
  PAYLOAD_TOO_LARGE: { status: 413, remedy: 'The body is larger than the configured limit.' },
  // Model and machine
  DATABASE_UNAVAILABLE: {
    status: 503,
    remedy:
      'Try again in a moment. For administrators: see that the database (database.url) runs and can be reached.',
  },
  MODEL_INVALID: { status: 500, remedy: 'The model files do not match their manifest; install them again.' },
  DEVICE_UNAVAILABLE: {
    status: 500,
    remedy: 'Choose device "auto" or "cpu", or install what the message names.',
  },
  CUDA_PACKAGE_INVALID: {
    status: 500,
    remedy: 'Give the package that the message names, or let "npm run install-cuda" fetch it.',
  },
  VIEWER_UNAVAILABLE: {
    status: 500,
    remedy: 'Give the package file by viewer.package, or set viewer.enabled to false.',
  },
  INFERENCE_FAILED: { status: 500, remedy: 'See the log; report this with the job id.' },
  SPOOL_FULL: {
    status: 507,
    remedy: 'Free space in the spool folder, raise spool.quotaBytes or set spool.directory to a larger disk.',
  },
  SPOOL_TOO_SMALL: {
    status: 507,
    remedy:
      'The slide can never be done with this spool: raise spool.quotaBytes or set spool.directory to a larger disk, and ask again.',
  },
  // Course of a job
  CANCELLED: { status: 409, remedy: 'The job was cancelled; it tells what the archive had taken by then.' },
  FIT_TIMED_OUT: {
    status: 504,
    remedy: 'Try again; limits.fitTimeoutSeconds can be raised where the archive is slow.',
  },
  TIMED_OUT: { status: 504, remedy: 'Raise limits.jobTimeoutMinutes.' },
  INTERNAL: { status: 500, remedy: 'This is a fault of the product; report it with the log.' },
} as const;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** An error with a stable code. `data` holds machine-readable facts; never patient data or tokens. */
export class StainError extends Error {
  readonly code: ErrorCode;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { data?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StainError';
    this.code = code;
    this.data = options.data ?? {};
  }

  get status(): number {
    return ERROR_TABLE[this.code].status;
  }

  get remedy(): string {
    return ERROR_TABLE[this.code].remedy;
  }
}

/** Anything thrown, as a StainError: aborts become CANCELLED or TIMED_OUT, the unknown becomes INTERNAL. */
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
