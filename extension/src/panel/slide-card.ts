/** What is shown, and its stain at a glance. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Stain } from '../../../core/src/contract/index.ts';
import type { PluginModel } from '../state.ts';
import { formatPercent } from '../strings/language.ts';
import { wordNote } from '../strings/service-words.ts';
import { translate } from '../strings/translate.ts';
import { errorBox } from './error-box.ts';
import { classColour } from './format.ts';
import { provenance } from './provenance.ts';
import { linkToCopy, toolsRow } from './tools-row.ts';

export function slideCard(model: PluginModel): TemplateResult {
  const { series, stain } = model.state;
  if (!series) return html`<p class="muted">${translate('panel.noSlide')}</p>`;
  const size = { columns: series.totalColumns, rows: series.totalRows };
  const retry = { label: translate('action.retry'), act: () => model.retry() };
  return html`<section>
    <div class="titled">
      <strong>${translate(series.derived ? 'viewport.normalized' : 'viewport.original')}</strong>
      ${toolsRow(model)}
    </div>
    ${linkToCopy(model)}
    <div>${series.description}</div>
    <div class="muted">${translate('panel.size', size)}</div>
    ${profileLine(model)} ${series.derived ? provenance(series.derived, model) : nothing}
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
    ${notes.map((note) => html`<p class="warning">${wordNote(note)}</p>`)}`;
}

function profileLine(model: PluginModel): TemplateResult | typeof nothing {
  const { profile } = model.state;
  if (profile === undefined) return nothing;
  if (profile === null) return html`<div class="muted">${translate('profile.none')}</div>`;
  if (profile === 'unreadable') return html`<p class="warning">${translate('profile.unreadable')}</p>`;
  const { name, isApplied } = profile;
  return html`<div class="titled">
    <span class="muted">
      ${name === null ? translate('profile.unnamed') : translate('profile.named', { name })}
    </span>
    <p>
      <button type="button" aria-pressed=${String(isApplied)} @click=${() => model.toggleProfile()}>
        ${translate('profile.apply')}
      </button>
    </p>
  </div>`;
}
