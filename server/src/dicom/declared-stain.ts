/**
 * The stain that a header declares by code, in Specimen Preparation Sequence (PS3.16 TID 8001, 8003) and Optical Path
 * Sequence. Text does not count, and neither does a missing or unknown code: laboratory systems leave both at their
 * defaults.
 */
import { type DataSet, isSequence } from './dataset.ts';
import { type StainCodeMeaning, stainOfCode } from './stain-codes.ts';

export type DeclaredStain =
  /** Haematoxylin and eosin, and nothing else that is known. */
  | { readonly stain: 'he' }
  /** Certainly a different stain: its names. */
  | { readonly stain: 'other'; readonly names: readonly string[] };

/** (246094008, SCT, "Component investigated"): what an antibody is to detect. */
const COMPONENT_INVESTIGATED = { value: '246094008', scheme: 'SCT' };

/** @param header of an image of the slide; returns undefined if it says nothing */
export function declaredStain(header: DataSet): DeclaredStain | undefined {
  const said = [...specimenStains(header), ...opticalPathStains(header)];
  const others = said.flatMap((meaning) => (typeof meaning === 'object' ? [meaning.other] : []));
  if (others.length > 0) return { stain: 'other', names: [...new Set(others)] };
  const both = said.includes('haematoxylin') && said.includes('eosin');
  return both || said.includes('he') ? { stain: 'he' } : undefined;
}

function* specimenStains(header: DataSet): Generator<StainCodeMeaning> {
  for (const specimen of header.items('SpecimenDescriptionSequence'))
    for (const step of specimen.items('SpecimenPreparationSequence'))
      for (const content of step.items('SpecimenPreparationStepContentItemSequence')) {
        if (isComponentInvestigated(content)) yield { other: antibodyAgainst(content) };
        yield* meanings(content.items('ConceptCodeSequence'));
      }
}

/** From all code sequences of every path, because the standard has none for the stain. */
function* opticalPathStains(header: DataSet): Generator<StainCodeMeaning> {
  for (const path of header.items('OpticalPathSequence'))
    for (const element of path.elements) if (isSequence(element)) yield* meanings(path.items(element.tag));
}

function* meanings(codes: readonly DataSet[]): Generator<StainCodeMeaning> {
  for (const code of codes) {
    const meaning = stainOfCode(code.string('CodeValue') ?? '', code.string('CodingSchemeDesignator') ?? '');
    if (meaning !== undefined) yield meaning;
  }
}

function isComponentInvestigated(content: DataSet): boolean {
  const { value, scheme } = COMPONENT_INVESTIGATED;
  return content
    .items('ConceptNameCodeSequence')
    .some((name) => name.string('CodeValue') === value && name.string('CodingSchemeDesignator') === scheme);
}

function antibodyAgainst(content: DataSet): string {
  const meaning = content.items('ConceptCodeSequence')[0]?.string('CodeMeaning');
  return meaning === undefined ? 'an antibody' : `an antibody against ${meaning}`;
}
