import { html, nothing, type TemplateResult } from 'lit';
import type { UserError } from '../state.ts';
import { translate } from '../strings/translate.ts';

/** What went wrong, what to do, and the code to report. */
export function errorBox(
  { message, remedy, code, said }: UserError,
  action?: { readonly label: string; readonly act: () => void },
): TemplateResult {
  return html`<div class="error" role="alert">
    <strong>${message}</strong>
    <p>${remedy} <span class="muted">(${code})</span></p>
    ${
      said
        ? html`<details>
            <summary>${translate('error.said')}</summary>
            <p lang="en">${said}</p>
          </details>`
        : nothing
    }
    ${action ? html`<button type="button" @click=${action.act}>${action.label}</button>` : nothing}
  </div>`;
}
