/** Coded concepts of the derived series (PS3.3 section 8, PS3.16). */
import { DataSet } from '../dicom/dataset.ts';

/** Private coding scheme of this product; names of private schemes begin with 99 (PS3.16 section 8.2). */
export const CODING_SCHEME = '99STAINNORM';

/** An item of a code sequence (PS3.3 section 8.8). */
export function code(value: string, scheme: string, meaning: string): DataSet {
  return DataSet.of({ CodeValue: value, CodingSchemeDesignator: scheme, CodeMeaning: meaning });
}

export const STAIN_NORMALIZATION = code('STAINNORM', CODING_SCHEME, 'Stain normalization');
export const SPATIAL_RESAMPLING = code('113085', 'DCM', 'Spatial resampling');
export const LOSSY_COMPRESSION = code('113040', 'DCM', 'Lossy Compression');
export const SOURCE_IMAGE = code('121322', 'DCM', 'Source image for image processing operation');
export const SOURCE_SERIES = code('121323', 'DCM', 'Source series for image processing operation');
/** CID 7210 has no code for it. */
export const SUPERSEDED_SERIES = code('SUPERSEDED', CODING_SCHEME, 'Superseded series');
export const ACQUISITION_EQUIPMENT = code('109101', 'DCM', 'Acquisition Equipment');
export const PROCESSING_EQUIPMENT = code('109102', 'DCM', 'Processing Equipment');
export const BRIGHTFIELD_ILLUMINATION = code('111744', 'DCM', 'Brightfield illumination');
export const WHITE_LIGHT = code('371251000', 'SCT', 'White color');

/** The source's Coding Scheme Identification Sequence, extended by our scheme. */
export function identifyCodingScheme(source: DataSet): DataSet {
  const others = source
    .items('CodingSchemeIdentificationSequence')
    .filter((item) => item.string('CodingSchemeDesignator') !== CODING_SCHEME);
  return source.with({
    CodingSchemeIdentificationSequence: [
      ...others,
      DataSet.of({
        CodingSchemeDesignator: CODING_SCHEME,
        CodingSchemeName: 'Stain normalization',
        CodingSchemeResponsibleOrganization: 'Stain normalization for OHIF and DICOMweb',
      }),
    ],
  });
}
