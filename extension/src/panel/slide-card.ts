/** What is shown, and its stain at a glance. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Stain } from '../../../server/src/contract/index.ts';
import type { PluginModel } from '../state.ts';
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
    ${series.derived ? html`<div class="warning">${translate('viewport.warning')}</div>` : nothing}
    <h2>${translate('stain.title')}</h2>
    ${stain.state === 'loading' ? html`<p class="muted">${translate('stain.loading')}</p>` : nothing}
    ${stain.state === 'failed' ? errorBox(stain.error, retry) : nothing}
    ${stain.state === 'ready' ? atAGlance(stain.value) : nothing}
  </section>`;
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
