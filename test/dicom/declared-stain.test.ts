/** The stain that a header declares: by codes, only some of which decide. */
import { describe, expect, it } from 'vitest';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { declaredStain } from '../../server/src/dicom/declared-stain.ts';

type Code = readonly [value: string, scheme: string, meaning: string];

const USING: Code = ['424361007', 'SCT', 'Using substance'];
const HAEMATOXYLIN: Code = ['12710003', 'SCT', 'hematoxylin stain'];
const EOSIN: Code = ['36879007', 'SCT', 'water soluble eosin stain'];

const code = ([CodeValue, CodingSchemeDesignator, CodeMeaning]: Code): DataSet =>
  DataSet.of({ CodeValue, CodingSchemeDesignator, CodeMeaning });
const item = (name: Code, value: Code): DataSet =>
  DataSet.of({
    ValueType: 'CODE',
    ConceptNameCodeSequence: [code(name)],
    ConceptCodeSequence: [code(value)],
  });
const text = (name: Code, value: string): DataSet =>
  DataSet.of({ ValueType: 'TEXT', ConceptNameCodeSequence: [code(name)], TextValue: value });
/** A header with these preparation steps. */
const header = (...steps: DataSet[][]): DataSet =>
  DataSet.of({
    SpecimenDescriptionSequence: [
      DataSet.of({
        SpecimenPreparationSequence: steps.map((items) =>
          DataSet.of({ SpecimenPreparationStepContentItemSequence: items }),
        ),
      }),
    ],
  });

describe('a header that declares H&E', () => {
  it.each<[string, DataSet]>([
    ['in one step', header([item(USING, HAEMATOXYLIN), item(USING, EOSIN)])],
    ['in a step for each', header([item(USING, HAEMATOXYLIN)], [item(USING, EOSIN)])],
    [
      'in the codes of old files',
      header([
        item(['G-C350', 'SRT', 'Using substance'], ['C-22968', 'SRT', 'hematoxylin stain']),
        item(['G-C350', 'SRT', 'Using substance'], ['C-22919', 'SRT', 'water soluble eosin stain']),
      ]),
    ],
    [
      'as a protocol',
      header([
        item(['127790008', 'SCT', 'Staining'], ['104210008', 'SCT', 'Hematoxylin and eosin stain method']),
      ]),
    ],
    [
      'with saffron, as in France',
      header([
        item(USING, HAEMATOXYLIN),
        item(USING, EOSIN),
        item(USING, ['38271009', 'SCT', 'saffron stain']),
      ]),
    ],
  ])('%s', (_name, dataset) => expect(declaredStain(dataset)).toEqual({ stain: 'he' }));
});

describe('a header that declares another stain', () => {
  it.each<[string, Code, string]>([
    ['PAS', ['255808002', 'SCT', 'periodic acid Schiff stain'], 'periodic acid-Schiff (PAS)'],
    ['a trichrome', ['406989007', 'SCT', 'trichrome stain'], 'trichrome'],
    ['silver, in an old file', ['C-22836', '99SDM', 'silver stain'], 'silver'],
    ['immunohistochemistry', ['117617002', 'SCT', 'Immunohistochemistry'], 'immunohistochemistry'],
    ['methyl green', ['22021002', 'SCT', 'methyl green stain'], 'methyl green'],
  ])('%s', (_name, stain, name) => {
    expect(declaredStain(header([item(USING, stain)]))).toEqual({ stain: 'other', names: [name] });
  });

  it('is not changed by a laboratory system that declares H&E for everything', () => {
    const dataset = header(
      [item(USING, HAEMATOXYLIN), item(USING, EOSIN)],
      [item(USING, ['45106005', 'SCT', 'Congo red stain'])],
    );
    expect(declaredStain(dataset)).toEqual({ stain: 'other', names: ['Congo red'] });
  });

  it('by the antibody, beside haematoxylin', () => {
    const dataset = header([
      item(USING, HAEMATOXYLIN),
      item(['246094008', 'SCT', 'Component investigated'], ['19677004', 'SCT', 'CD45']),
    ]);
    expect(declaredStain(dataset)).toEqual({ stain: 'other', names: ['an antibody against CD45'] });
  });

  it('does not repeat free text, which may identify the patient', () => {
    const dataset = header([text(['246094008', 'SCT', 'Component investigated'], 'Miller^Ann')]);
    expect(declaredStain(dataset)).toEqual({ stain: 'other', names: ['an antibody'] });
  });

  it('in the optical path', () => {
    const dataset = DataSet.of({
      OpticalPathSequence: [
        DataSet.of({
          IlluminationTypeCodeSequence: [code(['111744', 'DCM', 'Brightfield illumination'])],
          ChannelDescriptionCodeSequence: [code(['78869007', 'SCT', 'nuclear fast red stain'])],
        }),
      ],
    });
    expect(declaredStain(dataset)).toEqual({ stain: 'other', names: ['nuclear fast red'] });
  });
});

describe('a header that declares nothing', () => {
  it.each<[string, DataSet]>([
    ['without the sequences', DataSet.of({})],
    ['without steps', header()],
    ['with haematoxylin only', header([item(USING, HAEMATOXYLIN)])],
    ['with a stain in words only', header([text(USING, 'Masson trichrome')])],
    ['with a code of an unknown scheme', header([item(USING, ['406989007', '99LAB', 'trichrome'])])],
    ['with an unknown code', header([item(USING, ['1', 'SCT', 'Immunohistochemistry'])])],
    ['with ink for margins', header([item(USING, ['406972004', 'SCT', 'India ink stain'])])],
    ['with paraffin', header([item(USING, ['311731000', 'SCT', 'Paraffin wax'])])],
  ])('%s', (_name, dataset) => expect(declaredStain(dataset)).toBeUndefined());
});
