/** Ways to compare, for slides of which there is a normalised series or a preview. */
import { html, nothing, type TemplateResult } from 'lit';
import { resultName } from '../names.ts';
import { formatKeys } from '../shortcuts/format-keys.ts';
import { boundShortcuts } from '../shortcuts/shortcuts.ts';
import { type ComparisonMode, type ComparisonStatus, PAIR_MODES, type PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { howMade } from './provenance.ts';

/** Where the results are seen two by two, in this order. */
const QUARTERS = ['comparison.topRight', 'comparison.bottomLeft', 'comparison.bottomRight'] as const;

/** Keys that press a button. */
const PRESSING = new Set(['Enter', ' ']);

export function comparisonCard(model: PluginModel): TemplateResult | typeof nothing {
  const { results, comparison, series, preview } = model.state;
  // One that is drawn over the original cannot be put beside it.
  const previewed = preview?.mode ?? null;
  if (results.length === 0 && !previewed) return nothing;
  const newest = series?.derived ? series : results[0];
  const chosen = previewed ? undefined : (comparison?.normalized ?? newest)?.seriesInstanceUid;
  const shown = previewed ?? comparison?.mode;
  const isTwoByTwo = comparison?.mode === 'two-by-two';
  return html`<section>
    <div class="titled">
      <h2>${translate('comparison.title')}</h2>
      ${results.length > 1 ? html`<p>${modeButton(model, 'two-by-two', shown, chosen)}</p>` : nothing}
    </div>
    ${isTwoByTwo ? quarterChoices(model, comparison) : pairChoices(model, chosen)}
    <div class="row" role="group" aria-label=${translate('comparison.title')}>
      ${PAIR_MODES.map((mode) => modeButton(model, mode, shown, chosen))}
    </div>
    ${comparison && !isTwoByTwo && comparison.normalized.seriesInstanceUid !== series?.seriesInstanceUid ? made(comparison, model) : nothing}
    ${shown === 'blink' ? holdButton(model) : nothing}
    ${
      comparison
        ? html`<p>
            <button type="button" @click=${() => model.showOriginal()}>${translate('comparison.back')}</button>
          </p>`
        : nothing
    }
    ${
      previewed && previewed !== 'alone'
        ? html`<p>
            <button type="button" @click=${() => model.comparePreview('alone')}>
              ${translate('comparison.previewAlone')}
            </button>
          </p>`
        : nothing
    }
  </section>`;
}

function modeButton(
  model: PluginModel,
  mode: ComparisonMode,
  shown: ComparisonMode | 'alone' | undefined,
  chosen: string | undefined,
): TemplateResult {
  return html`<button
    type="button"
    aria-pressed=${String(shown === mode)}
    @click=${() => model.compare(mode, chosen)}
  >
    ${translate(`comparison.${mode}`)}
  </button>`;
}

/** For whoever has no key for it, or no keyboard. */
function holdButton(model: PluginModel): TemplateResult {
  const look =
    (isWanted: boolean, isKey = false) =>
    (event: Event): void => {
      if (!isKey || PRESSING.has((event as KeyboardEvent).key)) model.lookAtOriginal(isWanted);
    };
  const keys = boundShortcuts().find(({ command }) => command === 'holdOriginal')?.keys;
  return html`<p>
    <button
      type="button"
      @pointerdown=${look(true)}
      @pointerup=${look(false)}
      @pointercancel=${look(false)}
      @pointerleave=${look(false)}
      @blur=${look(false)}
      @keydown=${look(true, true)}
      @keyup=${look(false, true)}
    >
      ${translate(model.state.comparison?.against.derived ? 'comparison.holdOther' : 'comparison.hold')}
    </button>
    ${keys ? html`<kbd>${formatKeys(keys)}</kbd>` : nothing}
  </p>`;
}

/** Of the series that is compared; one that is shown alone says it in its own card. */
function made({ normalized }: ComparisonStatus, model: PluginModel): TemplateResult | typeof nothing {
  if (!normalized.derived) return nothing;
  return html`<details>
    <summary>${translate('origin.title')}</summary>
    ${howMade(normalized.derived, model.state.source, model)}
  </details>`;
}

/** Where there is something to choose from. @param chosen undefined: the preview */
function pairChoices(model: PluginModel, chosen: string | undefined): TemplateResult | typeof nothing {
  const { length } = model.state.results;
  if (length + (chosen === undefined ? 1 : 0) < 2) return nothing;
  return html`<div class="choices">
    ${choice(model, chosen)} ${chosen !== undefined ? otherChoice(model, chosen) : nothing}
  </div>`;
}

/** One for each result that is seen two by two. Those that are in each other's places change them. */
function quarterChoices(model: PluginModel, { normalized, others }: ComparisonStatus): TemplateResult {
  const seen = [normalized, ...others].map(({ seriesInstanceUid }) => seriesInstanceUid);
  const choose = (at: number, uid: string): void => {
    const next = seen.map((one) => (one === uid ? seen[at]! : one));
    next[at] = uid;
    model.compare('two-by-two', next[0], undefined, next.slice(1));
  };
  return html`<div class="quarters">
    ${seen.map(
      (chosen, at) => html`<label>
        ${translate(QUARTERS[at]!)}
        <select @change=${({ target }: Event) => choose(at, (target as HTMLSelectElement).value)}>
          ${model.state.results.map(
            (result) =>
              html`<option value=${result.seriesInstanceUid} .selected=${result.seriesInstanceUid === chosen}>
                ${resultName(result, model.state)}
              </option>`,
          )}
        </select>
      </label>`,
    )}
  </div>`;
}

/** @param chosen undefined: the preview */
function choice(model: PluginModel, chosen: string | undefined): TemplateResult {
  const { results, comparison } = model.state;
  const choose = ({ target }: Event): void =>
    model.compare(comparison?.mode ?? 'side-by-side', (target as HTMLSelectElement).value);
  return html`<label>
      ${translate('result.choose')}
      <select @change=${choose}>
        ${
          chosen === undefined
            ? html`<option selected>${translate('comparison.ofPreview')}</option>`
            : nothing
        }
        ${results.map(
          (result) =>
            html`<option value=${result.seriesInstanceUid} .selected=${result.seriesInstanceUid === chosen}>
              ${resultName(result, model.state)}
            </option>`,
        )}
      </select>
    </label>`;
}

/** The original, or another result. @param chosen what is compared with it */
function otherChoice(model: PluginModel, chosen: string): TemplateResult {
  const { results, comparison, source } = model.state;
  const against = comparison?.against.derived ? comparison.against : source;
  const choose = ({ target }: Event): void =>
    model.compare(comparison?.mode ?? 'side-by-side', chosen, (target as HTMLSelectElement).value);
  const option = (uid: string, name: string): TemplateResult =>
    html`<option value=${uid} .selected=${uid === against?.seriesInstanceUid}>${name}</option>`;
  return html`<label>
      ${translate('comparison.against')}
      <select @change=${choose}>
        ${source ? option(source.seriesInstanceUid, translate('viewport.original')) : nothing}
        ${results
          .filter(({ seriesInstanceUid }) => seriesInstanceUid !== chosen)
          .map((result) => option(result.seriesInstanceUid, resultName(result, model.state)))}
      </select>
    </label>`;
}
