/** What is shown, and its stain at a glance. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Stain } from '../../../server/src/contract/index.ts';
import type { Derivation, PluginModel, SlideSeries } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { errorBox } from './error-box.ts';
import { classColour, formatCount, formatPercent } from './format.ts';

export function slideCard(model: PluginModel): TemplateResult {
  const { series, stain } = model.state;
  if (!series) return html`<p class="muted">${translate('panel.noSlide')}</p>`;
  const size = { columns: formatCount(series.totalColumns), rows: formatCount(series.totalRows) };
  const retry = { label: translate('action.retry'), act: () => model.retry() };
  return html`<section>
    <strong>${translate(series.derived ? 'viewport.normalized' : 'viewport.original')}</strong>
    <div>${series.description}</div>
    <div class="muted">${translate('panel.size', size)}</div>
    ${series.derived ? origin(series.derived, model) : nothing}
    ${
      stain.state === 'idle'
        ? nothing
        : html`<h2>${translate(series.derived ? 'stain.titleOfSource' : 'stain.title')}</h2>`
    }
    ${stain.state === 'loading' ? html`<p class="muted">${translate('stain.loading')}</p>` : nothing}
    ${stain.state === 'failed' ? errorBox(stain.error, retry) : nothing}
    ${stain.state === 'ready' ? atAGlance(stain.value) : nothing}
  </section>`;
}

/** How a derived series was made, as its own header says it: not what is chosen in the panel, nor the newest job. */
function origin(derived: Derivation, model: PluginModel): TemplateResult {
  const { source, comparison } = model.state;
  const facts = [
    ['result.template', derived.template ?? translate('origin.unknown')],
    ['result.model', derived.model ?? translate('origin.unknown')],
    ...(derived.transfer === null ? [] : [['transfer.title', derived.transfer] as const]),
    ['origin.source', sourceName(derived, source)],
  ] as const;
  return html`<div class="warning">${translate('viewport.warning')}</div>
    <dl>
      ${facts.map(([key, value]) => html`<dt>${translate(key)}</dt><dd>${value}</dd>`)}
    </dl>
    ${derived.description ? html`<p class="muted">${derived.description}</p>` : nothing}
    ${
      source && !comparison
        ? html`<button type="button" @click=${() => model.showOriginal()}>${translate('comparison.back')}</button>`
        : nothing
    }`;
}

function sourceName({ sourceSeriesInstanceUid }: Derivation, source: SlideSeries | null): string {
  if (source) return source.description || translate('origin.unnamed');
  return translate(sourceSeriesInstanceUid === null ? 'origin.unknown' : 'origin.away');
}

function atAGlance({ classes, tissueFraction, notes }: Stain): TemplateResult {
  const names = classes.map(({ share }, i) =>
    translate('stain.class', { number: i + 1, percent: formatPercent(share) }),
  );
  return html`<div class="shares" role="img" aria-label="${translate('stain.classes')}: ${names.join(', ')}">
      ${classes.map(
        (found, i) =>
          html`<span title=${names[i]!} style="width:${found.share * 100}%;background:${classColour(found)}"></span>`,
      )}
    </div>
    <div class="muted">${translate('stain.tissue', { percent: formatPercent(tissueFraction) })}</div>
    ${notes.map((note) => html`<p class="warning">${note}</p>`)}`;
}
