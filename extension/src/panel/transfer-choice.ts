/** How the stain is moved, in a preview and in a job. */
import { html, type TemplateResult } from 'lit';
import { TRANSFERS, type TransferName } from '../../../core/src/stain/transfer-name.ts';
import type { PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';

export function transferChoice(model: PluginModel): TemplateResult {
  const choose = ({ target }: Event): void =>
    model.chooseTransfer((target as HTMLSelectElement).value as TransferName);
  return html`<p>
    <label>
      ${translate('transfer.title')}
      <select @change=${choose}>
        ${TRANSFERS.map(
          (one) =>
            html`<option value=${one} ?selected=${one === model.state.transfer}>${translate(`transfer.${one}`)}</option>`,
        )}
      </select>
    </label>
  </p>`;
}
