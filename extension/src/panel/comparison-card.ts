/** Ways to compare, for slides of which there is a normalised series. */
import { html, nothing, type TemplateResult } from 'lit';
import { COMPARISON_MODES, type PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';

export function comparisonCard(model: PluginModel): TemplateResult | typeof nothing {
  const { results, comparison, series } = model.state;
  if (results.length === 0) return nothing;
  const { seriesInstanceUid: chosen } = comparison?.normalized ?? (series?.derived ? series : results[0]!);
  return html`<section>
    <h2>${translate('comparison.title')}</h2>
    ${results.length > 1 ? choice(model, chosen) : nothing}
    <div class="row" role="group" aria-label=${translate('comparison.title')}>
      ${COMPARISON_MODES.map(
        (mode) => html`<button
          type="button"
          aria-pressed=${String(comparison?.mode === mode)}
          @click=${() => model.compare(mode, chosen)}
        >
          ${translate(`comparison.${mode}`)}
        </button>`,
      )}
    </div>
    ${comparison?.mode === 'blink' ? html`<p class="muted">${translate('comparison.blinkHint')}</p>` : nothing}
    ${
      comparison
        ? html`<p>
            <button type="button" @click=${() => model.showOriginal()}>${translate('comparison.back')}</button>
          </p>`
        : nothing
    }
  </section>`;
}

function choice(model: PluginModel, chosen: string): TemplateResult {
  const { results, comparison } = model.state;
  const choose = ({ target }: Event): void =>
    model.compare(comparison?.mode ?? 'side-by-side', (target as HTMLSelectElement).value);
  return html`<p>
    <label>
      ${translate('result.choose')}
      <select @change=${choose}>
        ${results.map(
          ({ seriesInstanceUid, description }) =>
            html`<option value=${seriesInstanceUid} .selected=${seriesInstanceUid === chosen}>${description}</option>`,
        )}
      </select>
    </label>
  </p>`;
}
