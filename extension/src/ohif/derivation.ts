/**
 * What a series of this product is, by its own header (docs/conformance.md, "Derived series"). Archives strip private
 * attributes and some rewrite others: each fact is read from any attribute that contains it, and is unknown otherwise.
 */
import { DERIVED_BY } from '../identity.ts';
import type { Derivation } from '../state.ts';
import { fullRecordOf } from './full-record.ts';
import { items, text } from './naturalized.ts';
import type { NaturalizedInstance } from './types.ts';

const PRIVATE_GROUP = '3401';
const PRIVATE_CREATOR = 'STAIN NORMALIZATION';
/** A Series Description of the maximum length of LO (PS3.5 6.2) may be truncated. */
const MAX_LO_LENGTH = 64;

const DESCRIBED = /^Stain normali[sz]ation\b/i;
/** The current format, and the first one of version 0.1.0. A name that was too long has a tilde where it was cut. */
const DESCRIBED_SERIES = /^Normalized ([\w.~-]+) \([^()]*\) RUO$|^Stain normali[sz]ed to ([\w.-]+)/i;

/**
 * @param instances of one series; values in which they disagree are unknown. Returns null for series of other products
 */
export function derivationOf(instances: readonly NaturalizedInstance[]): Derivation | null {
  const marked = instances.filter(isOurs);
  if (marked.length === 0) return null;
  const agreed = (read: (instance: NaturalizedInstance) => string | null): string | null => {
    const told = new Set(marked.map(read).filter((value) => value !== null));
    return told.size === 1 ? [...told][0]! : null;
  };
  return {
    sourceSeriesInstanceUid: agreed(sourceOf),
    template: agreed(templateOf),
    model: agreed(modelOf),
    transfer: agreed(transferOf),
    modelHash: agreed((instance) => privateText(instance, '01')),
    templateHash: agreed((instance) => privateText(instance, '0C')),
    description: agreed((instance) => text(instance['DerivationDescription'])) ?? '',
    record: fullRecordOf(agreed((instance) => privateText(instance, '0A'))),
  };
}

function isOurs(instance: NaturalizedInstance): boolean {
  return (
    text(instance['ManufacturerModelName']) === DERIVED_BY ||
    privateBlock(instance) !== undefined ||
    items(instance['DerivationCodeSequence']).some(
      ({ CodeValue, CodingSchemeDesignator }) =>
        CodeValue === 'STAINNORM' && CodingSchemeDesignator === '99STAINNORM',
    ) ||
    DESCRIBED.test(text(instance['DerivationDescription']) ?? '') ||
    DESCRIBED_SERIES.test(text(instance['SeriesDescription']) ?? '')
  );
}

/** The service adds the source as the last item of Related Series Sequence (PS3.3 C.7.3.1). */
function sourceOf(instance: NaturalizedInstance): string | null {
  const [related, referenced] = [
    items(instance['RelatedSeriesSequence']),
    items(instance['ReferencedSeriesSequence']),
  ];
  return text((related.at(-1) ?? referenced.at(-1))?.['SeriesInstanceUID']);
}

function templateOf(instance: NaturalizedInstance): string | null {
  const described = /\btemplate "?([\w.-]*\w)/i.exec(text(instance['DerivationDescription']) ?? '');
  const series = text(instance['SeriesDescription']) ?? '';
  return privateText(instance, '03') ?? described?.[1] ?? seriesTemplate(series);
}

function seriesTemplate(description: string): string | null {
  const [, name, formerName] = DESCRIBED_SERIES.exec(description) ?? [];
  if (name !== undefined) return name.includes('~') ? null : name;
  return description.length < MAX_LO_LENGTH ? (formerName ?? null) : null;
}

function modelOf(instance: NaturalizedInstance): string | null {
  const [name, version] = [privateText(instance, '0B'), privateText(instance, '02')];
  if (name !== null) return version === null ? name : `${name} ${version}`;
  const described = /\bmodel ([\w.-]*\w) (\d[\w.-]*\w)/i.exec(text(instance['DerivationDescription']) ?? '');
  return described ? `${described[1]} ${described[2]}` : null;
}

function transferOf(instance: NaturalizedInstance): string | null {
  const [, described] = (text(instance['DerivationDescription']) ?? '').split('Transfer: ');
  return privateText(instance, '0D') ?? described?.split('.')[0] ?? null;
}

/** Number of our block in the private group (PS3.5 7.8.1): the archive or another product may have moved it. */
function privateBlock(instance: NaturalizedInstance): string | undefined {
  return Object.keys(instance)
    .find(
      (tag) =>
        tag.startsWith(`${PRIVATE_GROUP}00`) && tag.length === 8 && text(instance[tag]) === PRIVATE_CREATOR,
    )
    ?.slice(6);
}

function privateText(instance: NaturalizedInstance, element: string): string | null {
  const block = privateBlock(instance);
  if (block === undefined) return null;
  const tag = `${PRIVATE_GROUP}${block}${element}`;
  return text(instance[tag] ?? instance[tag.toLowerCase()]);
}
