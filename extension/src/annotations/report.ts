/**
 * Annotations of a slide as a DICOM structured report: Comprehensive 3D SR by the template Measurement Report (PS3.16 TID
 * 1500), one planar region (TID 1410) for each. OHIF and other viewers of slides read it too.
 */
import { DERIVED_BY } from '../identity.ts';
import { items, text } from '../ohif/naturalized.ts';
import { shortened } from '../ohif/shortened.ts';
import type { NaturalizedInstance, Point3D } from '../ohif/types.ts';
import { type Annotation, isGraphicType, rounded } from './annotation.ts';

export const REPORT_CLASS = '1.2.840.10008.5.1.4.1.1.88.34';

/** A stored report, in the study of its slide. */
export interface ReportReference {
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
}

export interface ReportContents {
  readonly annotations: readonly Annotation[];
  /** The report says of them that they do not count any more. OHIF cannot read a report without any. */
  readonly areWithdrawn: boolean;
  /** Header of the source's base level. */
  readonly source: NaturalizedInstance;
  /** The reports that this one replaces. */
  readonly replaced: readonly ReportReference[];
  readonly seriesNumber: number;
  readonly seriesDescription: string;
  /** As in BCP 47, of the words in it. */
  readonly language: string;
  /** Who keeps them, as a DICOM person name; undefined if that is not known. */
  readonly observer: string | undefined;
  readonly now: Date;
}

export interface Report extends ReportReference {
  /** Date and time of its content, so that later ones sort after earlier ones. */
  readonly at: string;
  readonly replaced: readonly string[];
  /** Those that count. */
  readonly annotations: readonly Annotation[];
}

type Code = readonly [value: string, scheme: string, meaning: string];
type Item = NaturalizedInstance;

const REPORT: Code = ['126000', 'DCM', 'Imaging Measurement Report'];
const LANGUAGE: Code = ['121049', 'DCM', 'Language of Content Item and Descendants'];
const OBSERVER_TYPE: Code = ['121005', 'DCM', 'Observer Type'];
const PERSON: Code = ['121006', 'DCM', 'Person'];
const PERSON_NAME: Code = ['121008', 'DCM', 'Person Observer Name'];
const DEVICE: Code = ['121007', 'DCM', 'Device'];
const OBSERVER_UID: Code = ['121012', 'DCM', 'Device Observer UID'];
const OBSERVER_NAME: Code = ['121013', 'DCM', 'Device Observer Name'];
const PROCEDURE: Code = ['121058', 'DCM', 'Procedure reported'];
const WHOLE_SLIDE_IMAGING: Code = ['112703', 'DCM', 'Whole Slide Imaging'];
const IMAGE_LIBRARY: Code = ['111028', 'DCM', 'Image Library'];
const IMAGE_LIBRARY_GROUP: Code = ['126200', 'DCM', 'Image Library Group'];
const MEASUREMENTS: Code = ['126010', 'DCM', 'Imaging Measurements'];
const GROUP: Code = ['125007', 'DCM', 'Measurement Group'];
const TRACKING_IDENTIFIER: Code = ['112039', 'DCM', 'Tracking Identifier'];
const TRACKING_UID: Code = ['112040', 'DCM', 'Tracking Unique Identifier'];
const FINDING: Code = ['121071', 'DCM', 'Finding'];
const REGION: Code = ['111030', 'DCM', 'Image Region'];
const COMMENT: Code = ['121106', 'DCM', 'Comment'];
const OWN_SCHEME = '99STAINNORM';
const SHOWN: Code = ['SHOWN', OWN_SCHEME, 'Shown when drawn'];
const WITHDRAWN: Code = ['WITHDRAWN', OWN_SCHEME, 'Withdrawn'];

/** Of the plugin, wherever it runs. */
const DEVICE_UID = '2.25.206171594317422087654932161705219844035';

/** Maximum lengths of SH and LO (PS3.5 6.2), which some readers count in bytes. */
const MAX_CODE = 16;
const MAX_MEANING = 64;

const COPIED = [
  'PatientName',
  'PatientID',
  'IssuerOfPatientID',
  'PatientBirthDate',
  'PatientSex',
  'StudyInstanceUID',
  'StudyDate',
  'StudyTime',
  'StudyID',
  'StudyDescription',
  'AccessionNumber',
  'ReferringPhysicianName',
] as const;
/** Required, if only as empty ones (PS3.3 C.7.1.1, C.7.2.1). */
const EMPTY = Object.fromEntries(
  COPIED.filter((name) => !['IssuerOfPatientID', 'StudyDescription'].includes(name)).map((name) => [
    name,
    '',
  ]),
);

/** The data set of a new report, in a new series. */
export function makeReport(contents: ReportContents): NaturalizedInstance {
  const { source, replaced, now, annotations, observer } = contents;
  const [date, time] = dateAndTime(now);
  const copied = COPIED.filter((name) => source[name] !== undefined).map((name) => [name, source[name]]);
  return {
    ...EMPTY,
    ...Object.fromEntries(copied),
    _meta: { FileMetaInformationVersion: { Value: [Uint8Array.of(0, 1).buffer] } },
    SpecificCharacterSet: 'ISO_IR 192',
    SOPClassUID: REPORT_CLASS,
    SOPInstanceUID: newUid(),
    SeriesInstanceUID: newUid(),
    Modality: 'SR',
    SeriesNumber: contents.seriesNumber,
    SeriesDescription: shortened(contents.seriesDescription, MAX_MEANING),
    // Not of this class; OHIF takes the slide from it that it shows a report over, where several have one frame of reference.
    ReferencedSeriesSequence: referenceTo(source),
    ReferencedPerformedProcedureStepSequence: [],
    PerformedProcedureCodeSequence: [],
    InstanceNumber: 1,
    ContentDate: date,
    ContentTime: time,
    Manufacturer: DERIVED_BY,
    ManufacturerModelName: DERIVED_BY,
    DeviceSerialNumber: DEVICE_UID,
    SoftwareVersions: DERIVED_BY,
    CompletionFlag: 'PARTIAL',
    VerificationFlag: 'UNVERIFIED',
    CurrentRequestedProcedureEvidenceSequence: [
      { StudyInstanceUID: source['StudyInstanceUID'], ReferencedSeriesSequence: referenceTo(source) },
    ],
    ...(replaced.length > 0 && {
      PredecessorDocumentsSequence: [
        {
          StudyInstanceUID: source['StudyInstanceUID'],
          ReferencedSeriesSequence: replaced.map(({ seriesInstanceUid, sopInstanceUid }) => ({
            SeriesInstanceUID: seriesInstanceUid,
            ReferencedSOPSequence: [sop(REPORT_CLASS, sopInstanceUid)],
          })),
        },
      ],
    }),
    ValueType: 'CONTAINER',
    ConceptNameCodeSequence: [code(REPORT)],
    ContinuityOfContent: 'SEPARATE',
    ContentTemplateSequence: [template('1500')],
    ContentSequence: [
      coded('HAS CONCEPT MOD', LANGUAGE, [contents.language, 'RFC5646', contents.language]),
      ...(observer === undefined
        ? []
        : [
            coded('HAS OBS CONTEXT', OBSERVER_TYPE, PERSON),
            item('HAS OBS CONTEXT', 'PNAME', PERSON_NAME, { PersonName: observer }),
          ]),
      coded('HAS OBS CONTEXT', OBSERVER_TYPE, DEVICE),
      item('HAS OBS CONTEXT', 'UIDREF', OBSERVER_UID, { UID: DEVICE_UID }),
      item('HAS OBS CONTEXT', 'TEXT', OBSERVER_NAME, { TextValue: DERIVED_BY }),
      coded('HAS CONCEPT MOD', PROCEDURE, WHOLE_SLIDE_IMAGING),
      container(IMAGE_LIBRARY, [
        container(IMAGE_LIBRARY_GROUP, [
          {
            RelationshipType: 'CONTAINS',
            ValueType: 'IMAGE',
            ReferencedSOPSequence: [sop(source['SOPClassUID'], source['SOPInstanceUID'])],
          },
        ]),
      ]),
      container(
        MEASUREMENTS,
        annotations.map((annotation, i) => group(annotation, i + 1, contents)),
      ),
    ],
  };
}

function group(
  { uid, graphicType, points, label, shown }: Annotation,
  number: number,
  { source, areWithdrawn }: ReportContents,
): Item {
  const finding: Code | undefined = areWithdrawn
    ? WITHDRAWN
    : label
      ? [shortened(label, MAX_CODE), OWN_SCHEME, shortened(label, MAX_MEANING)]
      : undefined;
  const region = item('CONTAINS', 'SCOORD3D', REGION, {
    GraphicType: graphicType,
    GraphicData: points.flat(),
    ReferencedFrameOfReferenceUID: source['FrameOfReferenceUID'],
  });
  return {
    ...container(GROUP, [
      item('HAS OBS CONTEXT', 'TEXT', TRACKING_IDENTIFIER, { TextValue: `ROI ${number}` }),
      item('HAS OBS CONTEXT', 'UIDREF', TRACKING_UID, { UID: uid }),
      ...(finding ? [coded('CONTAINS', FINDING, finding)] : []),
      region,
      ...(label ? [item('CONTAINS', 'TEXT', COMMENT, { TextValue: label })] : []),
      item('CONTAINS', 'TEXT', SHOWN, { TextValue: shown }),
    ]),
    ContentTemplateSequence: [template('1410')],
  };
}

/**
 * Undefined for what is no report of this product about the source.
 * @param source header of its base level
 */
export function readReport(instance: NaturalizedInstance, source: NaturalizedInstance): Report | undefined {
  const isOurs =
    text(instance['SOPClassUID']) === REPORT_CLASS && text(instance['ManufacturerModelName']) === DERIVED_BY;
  const [seriesInstanceUid, sopInstanceUid] = [
    text(instance['SeriesInstanceUID']),
    text(instance['SOPInstanceUID']),
  ];
  const about = referenced(instance['CurrentRequestedProcedureEvidenceSequence']);
  if (!isOurs || !seriesInstanceUid || !sopInstanceUid || !about.includes(source['SOPInstanceUID']))
    return undefined;
  const groups = items(instance['ContentSequence'])
    .filter((one) => isNamed(one, MEASUREMENTS))
    .flatMap((one) => items(one['ContentSequence']))
    .filter((one) => isNamed(one, GROUP));
  return {
    seriesInstanceUid,
    sopInstanceUid,
    at: `${text(instance['ContentDate'])} ${text(instance['ContentTime'])}`,
    replaced: referenced(instance['PredecessorDocumentsSequence']),
    annotations: groups.map((one) => readGroup(one, source)).filter((one) => one !== undefined),
  };
}

function readGroup(one: Item, source: NaturalizedInstance): Annotation | undefined {
  const within = items(one['ContentSequence']);
  const find = (name: Code): Item => within.find((found) => isNamed(found, name)) ?? {};
  // A label can have the code of it, but not with these words.
  const isWithdrawn = items(find(FINDING)['ConceptCodeSequence']).some(
    (found) => isCode(found, WITHDRAWN) && text(found['CodeMeaning']) === WITHDRAWN[2],
  );
  const region = find(REGION);
  const uid = text(find(TRACKING_UID)['UID']);
  const graphicType = text(region['GraphicType']) ?? '';
  const isHere = text(region['ReferencedFrameOfReferenceUID']) === source['FrameOfReferenceUID'];
  if (isWithdrawn || !isHere || uid === null || !isGraphicType(graphicType)) return undefined;
  const data = (region['GraphicData'] as readonly (number | string)[]).map(Number);
  return {
    uid,
    graphicType,
    points: Array.from({ length: Math.floor(data.length / 3) }, (_, i) =>
      rounded(data.slice(3 * i, 3 * i + 3) as unknown as Point3D),
    ),
    label: text(find(COMMENT)['TextValue']) ?? '',
    shown: text(find(SHOWN)['TextValue']) ?? '',
  };
}

/** UIDs of all instances in a sequence of references by study, series and instance. */
function referenced(sequence: unknown): string[] {
  return items(sequence)
    .flatMap((study) => items(study['ReferencedSeriesSequence']))
    .flatMap((series) => items(series['ReferencedSOPSequence']))
    .map((instance) => text(instance['ReferencedSOPInstanceUID']) ?? '');
}

function isNamed(one: Item, name: Code): boolean {
  return items(one['ConceptNameCodeSequence']).some((found) => isCode(found, name));
}

function isCode({ CodeValue, CodingSchemeDesignator }: Item, [value, scheme]: Code): boolean {
  return text(CodeValue) === value && text(CodingSchemeDesignator) === scheme;
}

function code([CodeValue, CodingSchemeDesignator, CodeMeaning]: Code): Item {
  return { CodeValue, CodingSchemeDesignator, CodeMeaning };
}

function item(relation: string, type: string, name: Code, value: Item): Item {
  return { RelationshipType: relation, ValueType: type, ConceptNameCodeSequence: [code(name)], ...value };
}

function coded(relation: string, name: Code, value: Code): Item {
  return item(relation, 'CODE', name, { ConceptCodeSequence: [code(value)] });
}

function container(name: Code, contents: readonly Item[]): Item {
  return item('CONTAINS', 'CONTAINER', name, { ContinuityOfContent: 'SEPARATE', ContentSequence: contents });
}

function template(TemplateIdentifier: string): Item {
  return { MappingResource: 'DCMR', TemplateIdentifier };
}

function referenceTo(source: NaturalizedInstance): Item[] {
  return [
    {
      SeriesInstanceUID: source['SeriesInstanceUID'],
      ReferencedSOPSequence: [sop(source['SOPClassUID'], source['SOPInstanceUID'])],
    },
  ];
}

function sop(ReferencedSOPClassUID: string, ReferencedSOPInstanceUID: string): Item {
  return { ReferencedSOPClassUID, ReferencedSOPInstanceUID };
}

/** By a random UUID (PS3.5 B.2); the browser makes UUIDs itself only where pages come over TLS. */
function newUid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `2.25.${BigInt(`0x${hex}`)}`;
}

/** As DA and TM, in the viewer's time zone. */
function dateAndTime(now: Date): readonly [string, string] {
  const two = (value: number): string => String(value).padStart(2, '0');
  return [
    `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`,
    `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`,
  ];
}
