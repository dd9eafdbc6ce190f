/** How a derived series was made, as its own header says it: not what is chosen in the panel, nor the newest job. */
import { html, nothing, type TemplateResult } from 'lit';
import { noteOf } from '../../../core/src/notes.ts';
import { encodingName, modelName, templateName, transferName } from '../names.ts';
import type { FullRecord } from '../ohif/full-record.ts';
import type { Derivation, PluginModel, SlideSeries } from '../state.ts';
import { formatPercent } from '../strings/language.ts';
import { wordNote } from '../strings/service-words.ts';
import { type StringKey, translate, translateName } from '../strings/translate.ts';
import { formatDate, formatProvider } from './format.ts';

type Fact = readonly [StringKey, string];

/** The card of a derived series that is shown. */
export function provenance(derived: Derivation, model: PluginModel): TemplateResult {
  const { source, comparison } = model.state;
  return html`<div class="warning">${translate('viewport.warning')}</div>
    ${howMade(derived, source, model)}
    ${
      source && !comparison
        ? html`<button type="button" @click=${() => model.showOriginal()}>${translate('comparison.back')}</button>`
        : nothing
    }`;
}

export function howMade(
  derived: Derivation,
  source: SlideSeries | null,
  { state }: PluginModel,
): TemplateResult {
  const { record } = derived;
  const facts: readonly Fact[] = [
    [
      'result.template',
      derived.template ? templateName(derived.template, state) : translate('origin.unknown'),
    ],
    ['result.model', derived.model ? modelName(derived.model) : translate('origin.unknown')],
    ...(derived.transfer === null ? [] : [['transfer.title', transferName(derived.transfer)] as const]),
    ['origin.source', sourceName(derived, source)],
    ...(record ? recorded(record) : []),
  ];
  return html`<dl>
      ${facts.map(([key, value]) => html`<dt>${translate(key)}</dt><dd>${value}</dd>`)}
    </dl>
    ${record?.notes.map((note) => html`<p class="warning">${wordNote(noteOf(note))}</p>`)}
    ${inFull(derived)}`;
}

function recorded({ fit, encoding, quality, executionProvider, madeAt }: FullRecord): Fact[] {
  return [
    ...(fit ? measured(fit) : []),
    ...(encoding === null ? [] : [['origin.encoding', encodingName(encoding, quality)] as const]),
    ...(executionProvider === null ? [] : [['result.provider', formatProvider(executionProvider)] as const]),
    ...(madeAt === null ? [] : [['origin.madeAt', formatDate(madeAt)] as const]),
  ];
}

function measured({ sampledTiles, tissueFraction, verdict }: NonNullable<FullRecord['fit']>): Fact[] {
  const values = { tiles: sampledTiles, percent: formatPercent(tissueFraction) };
  return [
    ['result.fit', translate('result.fitValue', values)],
    ...(verdict === null ? [] : [['origin.verdict', translateName('origin.verdict', verdict)] as const]),
  ];
}

/** What identifies model and template beyond their names, for whoever wants to make the same again. */
function inFull({ description, modelHash, templateHash }: Derivation): TemplateResult | typeof nothing {
  const hashes = [
    ...(modelHash === null ? [] : [['origin.modelHash', modelHash] as const]),
    ...(templateHash === null ? [] : [['origin.templateHash', templateHash] as const]),
  ];
  if (!description && hashes.length === 0) return nothing;
  return html`<details>
    <summary>${translate('origin.inFull')}</summary>
    ${description ? html`<p class="muted" lang="en">${description}</p>` : nothing}
    <dl>
      ${hashes.map(([key, value]) => html`<dt>${translate(key)}</dt><dd>${value}</dd>`)}
    </dl>
  </details>`;
}

function sourceName({ sourceSeriesInstanceUid }: Derivation, source: SlideSeries | null): string {
  if (source) return source.description || translate('origin.unnamed');
  return translate(sourceSeriesInstanceUid === null ? 'origin.unknown' : 'origin.away');
}
