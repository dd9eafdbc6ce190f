/** What is always at hand, whatever is shown. */
import { html, nothing, type TemplateResult } from 'lit';
import { showHelpCard } from '../shortcuts/help-card.ts';
import { boundShortcuts } from '../shortcuts/shortcuts.ts';
import type { PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';

export function toolsRow(model: PluginModel): TemplateResult {
  return html`<p>
    <button class="plain" type="button" @click=${() => model.copyLink()}>${translate('link.copy')}</button>
    ${
      boundShortcuts().length > 0
        ? html`<button class="plain" type="button" @click=${showHelpCard}>${translate('shortcuts.title')}</button>`
        : nothing
    }
  </p>`;
}

/** For whoever has to copy it by hand. */
export function linkToCopy({ state }: PluginModel): TemplateResult | typeof nothing {
  if (state.linkToCopy === null) return nothing;
  const select = ({ target }: Event): void => (target as HTMLInputElement).select();
  return html`<label>
    ${translate('link.byHand')}
    <input type="text" readonly data-asks .value=${state.linkToCopy} @focus=${select} />
  </label>`;
}
