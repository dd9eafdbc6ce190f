import { html, nothing, type TemplateResult } from 'lit';
import type { UserError } from '../state.ts';

/** What went wrong, what to do, and the code to report. */
export function errorBox(
  { message, remedy, code }: UserError,
  action?: { readonly label: string; readonly act: () => void },
): TemplateResult {
  return html`<div class="error" role="alert">
    <strong>${message}</strong>
    <p>${remedy} <span class="muted">(${code})</span></p>
    ${action ? html`<button type="button" @click=${action.act}>${action.label}</button>` : nothing}
  </div>`;
}
