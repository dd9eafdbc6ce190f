/** A job as a work item of the Unified Procedure Step (PS3.4 annex CC.2.5, PS3.3 C.30): the two are the same. */

import type { Job } from '../../../../core/src/contract/index.ts';
import { CODING_SCHEME, code, STAIN_NORMALIZATION } from '../../derived/codes.ts';
import { DataSet } from '../../dicom/dataset.ts';
import type { DicomJson } from '../../dicom/json-model.ts';
import { WHOLE_SLIDE } from '../../dicom/sop-class.ts';
import { toDicomJson } from '../../dicom/to-json.ts';

export const UPS_PUSH_SOP_CLASS = '1.2.840.10008.5.1.4.34.6.1';

export type WorkitemState = 'SCHEDULED' | 'IN PROGRESS' | 'COMPLETED' | 'CANCELED';

/** PS3.16 CID 9231. */
export const IMAGE_PROCESSING = code('110001', 'DCM', 'Image Processing');
/** PS3.16 CID 9300. */
const UNSPECIFIED_REASON = code('110513', 'DCM', 'Discontinued for unspecified reason');
const STATION = code('STAINNORM', CODING_SCHEME, 'Stain normalization service');

/** A failed job is CANCELED: UPS has no other state for it. */
export function stateOf({ state }: Pick<Job, 'state'>): WorkitemState {
  return state === 'FAILED' ? 'CANCELED' : state;
}

/** All attributes of a work item, as DICOM JSON. Its transaction belongs to the service and is not included. */
export function workitemOf(job: Job): DicomJson {
  const { request } = job;
  const state = stateOf(job);
  return toDicomJson(
    DataSet.of({
      SpecificCharacterSet: 'ISO_IR 192',
      SOPClassUID: UPS_PUSH_SOP_CLASS,
      SOPInstanceUID: job.workitemUid,
      ScheduledProcedureStepPriority: job.priority === 'interactive' ? 'HIGH' : 'LOW',
      ScheduledProcedureStepModificationDateTime: dateTime(job.endedAt ?? job.startedAt ?? job.createdAt),
      ProcedureStepLabel: 'Stain normalization',
      WorklistLabel: 'Stain normalization',
      ScheduledProcessingParametersSequence: parametersOf(request),
      ScheduledStationNameCodeSequence: [STATION],
      ScheduledProcedureStepStartDateTime: dateTime(job.createdAt),
      ScheduledWorkitemCodeSequence: [IMAGE_PROCESSING],
      InputReadinessState: 'READY',
      InputInformationSequence: [references(request.studyInstanceUid, request.seriesInstanceUid)],
      StudyInstanceUID: request.studyInstanceUid,
      ProcedureStepState: state,
      ProcedureStepProgressInformationSequence:
        job.startedAt === null && !job.endedAt ? [] : [progressOf(job)],
      UnifiedProcedureStepPerformedProcedureSequence: job.startedAt === null ? [] : [performedBy(job)],
    }),
  );
}

/** Content items (PS3.3 10.2.1) for everything that determines the pixels of the result, and the archives. */
function parametersOf(request: Job['request']): DataSet[] {
  const { template, model, transfer, encoding, quality, anyStain, source, destination } = request;
  const item = (name: string, meaning: string): { ConceptNameCodeSequence: DataSet[] } => ({
    ConceptNameCodeSequence: [code(name, CODING_SCHEME, meaning)],
  });
  const text = (name: string, meaning: string, value: string): DataSet =>
    DataSet.of({ ValueType: 'TEXT', ...item(name, meaning), TextValue: value });
  return [
    text('TEMPLATE', 'Stain template', template),
    text('MODEL', 'Model', model),
    // Jobs of older versions have none.
    ...(transfer ? [text('TRANSFER', 'Transfer of the stain', transfer)] : []),
    text('ENCODING', 'Encoding of the result', encoding),
    ...(source === undefined ? [] : [text('SOURCE', 'Archive of the slide', source)]),
    ...(destination === undefined ? [] : [text('DESTINATION', 'Archive of the result', destination)]),
    ...(anyStain ? [text('ANYSTAIN', 'Normalise whatever the stain', 'YES')] : []),
    ...(encoding === 'jpeg'
      ? [
          DataSet.of({
            ValueType: 'NUMERIC',
            ...item('QUALITY', 'JPEG quality'),
            NumericValue: quality,
            MeasurementUnitsCodeSequence: [code('1', 'UCUM', 'no units')],
          }),
        ]
      : []),
  ];
}

function references(study: string, series: string, instances: readonly string[] = []): DataSet {
  return DataSet.of({
    TypeOfInstances: 'DICOM',
    StudyInstanceUID: study,
    SeriesInstanceUID: series,
    ReferencedSOPSequence: instances.map((uid) =>
      DataSet.of({ ReferencedSOPClassUID: WHOLE_SLIDE, ReferencedSOPInstanceUID: uid }),
    ),
  });
}

function progressOf(job: Job): DataSet {
  const isCanceled = stateOf(job) === 'CANCELED';
  const reason = job.error ? `${job.error.code}: ${job.error.message}` : 'Cancelled by a user.';
  return DataSet.of({
    ProcedureStepProgress: Math.round(100 * (job.state === 'COMPLETED' ? 1 : (job.progress?.fraction ?? 0))),
    ...(job.progress && { ProcedureStepProgressDescription: job.waiting?.message ?? job.progress.stage }),
    ...(isCanceled && {
      ProcedureStepCancellationDateTime: dateTime(job.endedAt!),
      ReasonForCancellation: reason,
      ProcedureStepDiscontinuationReasonCodeSequence: [UNSPECIFIED_REASON],
    }),
  });
}

function performedBy(job: Job): DataSet {
  const { result } = job;
  return DataSet.of({
    PerformedStationNameCodeSequence: [STATION],
    PerformedProcedureStepStartDateTime: dateTime(job.startedAt!),
    PerformedProcedureStepEndDateTime: job.endedAt ? dateTime(job.endedAt) : '',
    PerformedWorkitemCodeSequence: [IMAGE_PROCESSING, STAIN_NORMALIZATION],
    PerformedProcessingParametersSequence: parametersOf(job.request),
    OutputInformationSequence: result
      ? [
          references(
            result.studyInstanceUid,
            result.seriesInstanceUid,
            result.instances.map(({ sopInstanceUid }) => sopInstanceUid),
          ),
        ]
      : [],
  });
}

/** VR DT, in UTC. */
function dateTime(iso: string): string {
  return `${iso.replace(/[-:TZ]/g, '').slice(0, 18)}+0000`;
}
