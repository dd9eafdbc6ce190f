/** What a new work item requests (PS3.4 table CC.2.5-3, column N-CREATE). */

import { z } from 'zod';
import { normalizationCreate } from '../../../../core/src/contract/index.ts';
import { StainError } from '../../../../core/src/errors.ts';
import { CODING_SCHEME } from '../../derived/codes.ts';
import type { DataSet } from '../../dicom/dataset.ts';
import { dataSetFromJson } from '../../dicom/from-json.ts';
import type { JobOrigin } from '../../jobs/job-records.ts';
import { parseInput } from '../problem.ts';

/** Type 1 attributes that the creator must supply. */
const REQUIRED = [
  'ScheduledProcedureStepPriority',
  'ProcedureStepLabel',
  'WorklistLabel',
  'ScheduledProcedureStepStartDateTime',
  'InputReadinessState',
  'ProcedureStepState',
] as const;
const REQUIRED_SEQUENCES = ['ScheduledWorkitemCodeSequence', 'InputInformationSequence'] as const;
/** Set by the performer of the step: not allowed at creation. */
const FORBIDDEN = ['UnifiedProcedureStepPerformedProcedureSequence'] as const;

const priority = z.enum(['HIGH', 'MEDIUM', 'LOW']);
const WORKITEM_CODES = new Map([
  ['110001', 'DCM'],
  ['STAINNORM', CODING_SCHEME],
]);
const PARAMETERS: Record<string, keyof z.input<typeof normalizationCreate>> = {
  TEMPLATE: 'template',
  MODEL: 'model',
  TRANSFER: 'transfer',
  ENCODING: 'encoding',
  QUALITY: 'quality',
  ANYSTAIN: 'anyStain',
  SOURCE: 'source',
  DESTINATION: 'destination',
};
/** Any other value is refused, such as text instead of a boolean. */
const YES_NO = new Map<unknown, unknown>([
  ['YES', true],
  ['NO', false],
]);

export interface WorkitemRequest {
  readonly request: z.output<typeof normalizationCreate>;
  readonly priority: JobOrigin['priority'];
}

/** The only data set in the body of a request, by itself or in an array. @throws REQUEST_INVALID */
export function dataSetOf(body: unknown): DataSet {
  const [json, ...others] = Array.isArray(body) ? body : [body];
  if (typeof json !== 'object' || json === null || others.length > 0)
    throw new StainError('REQUEST_INVALID', 'The body must be one data set in DICOM JSON.');
  try {
    return dataSetFromJson(json);
  } catch (error) {
    throw new StainError('REQUEST_INVALID', (error as Error).message, { cause: error });
  }
}

/** The service knows where the slide is: URLs in the work item are ignored. @throws REQUEST_INVALID */
export function parseWorkitem(dataset: DataSet): WorkitemRequest {
  const missing = [
    ...REQUIRED.filter((keyword) => dataset.string(keyword) === undefined),
    ...REQUIRED_SEQUENCES.filter((keyword) => dataset.items(keyword).length === 0),
  ];
  if (missing.length > 0) refuse(`The work item lacks ${missing.join(', ')}.`);
  if (dataset.string('ProcedureStepState') !== 'SCHEDULED') refuse('A new work item must be SCHEDULED.');
  if (dataset.string('TransactionUID') !== undefined) refuse('A new work item has no transaction.');
  const performed = FORBIDDEN.find((keyword) => dataset.items(keyword).length > 0);
  if (performed) refuse(`A new work item has no ${performed}.`);
  if (dataset.string('InputReadinessState') !== 'READY') refuse('The input must be READY.');
  const [workitem] = dataset.items('ScheduledWorkitemCodeSequence');
  const value = workitem!.string('CodeValue');
  if (value === undefined || WORKITEM_CODES.get(value) !== workitem!.string('CodingSchemeDesignator'))
    refuse(`The workitem code is (110001, DCM, "Image Processing") or (STAINNORM, ${CODING_SCHEME}).`);
  const inputs = dataset.items('InputInformationSequence');
  if (inputs.length > 1) refuse('A work item has one series as its input.');
  const urgency = parseInput(priority, dataset.string('ScheduledProcedureStepPriority'));
  const request = parseInput(normalizationCreate, {
    studyInstanceUid: inputs[0]!.string('StudyInstanceUID'),
    seriesInstanceUid: inputs[0]!.string('SeriesInstanceUID'),
    ...parametersOf(dataset),
  });
  return { request, priority: urgency === 'LOW' ? 'batch' : 'interactive' };
}

function parametersOf(dataset: DataSet): Record<string, unknown> {
  const parameters: Record<string, unknown> = {};
  for (const item of dataset.items('ScheduledProcessingParametersSequence')) {
    const [name] = item.items('ConceptNameCodeSequence');
    const parameter = PARAMETERS[name?.string('CodeValue') ?? ''];
    if (!parameter || name?.string('CodingSchemeDesignator') !== CODING_SCHEME)
      refuse('A processing parameter is unknown.');
    const value = item.string('TextValue') ?? item.number('NumericValue');
    parameters[parameter] = parameter === 'anyStain' ? (YES_NO.get(value) ?? value) : value;
  }
  return parameters;
}

function refuse(message: string): never {
  throw new StainError('REQUEST_INVALID', message);
}
