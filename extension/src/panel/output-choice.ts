/** How the result is encoded. */

import { html, nothing, type TemplateResult } from 'lit';
import { OUTPUT_ENCODINGS } from '../../../core/src/contract/output.ts';
import type { OutputChoice, PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';

export function outputChoice(model: PluginModel): TemplateResult {
  const { encoding, quality } = model.state.output;
  const chooseEncoding = ({ target }: Event): void =>
    model.chooseOutput({
      encoding: (target as HTMLSelectElement).value as OutputChoice['encoding'],
      quality,
    });
  const chooseQuality = ({ target }: Event): void => {
    const wanted = Math.round(Number((target as HTMLInputElement).value));
    if (wanted >= 1 && wanted <= 100) model.chooseOutput({ encoding, quality: wanted });
  };
  return html`<details>
    <summary>${translate('output.title')}: ${translate(`output.${encoding}`)}</summary>
    <p>
      <label>
        ${translate('output.encoding')}
        <select @change=${chooseEncoding}>
          ${OUTPUT_ENCODINGS.map(
            (one) =>
              html`<option value=${one} ?selected=${one === encoding}>${translate(`output.${one}`)}</option>`,
          )}
        </select>
      </label>
    </p>
    ${
      encoding === 'jpeg'
        ? html`<p>
            <label>
              ${translate('output.quality')}
              <input type="number" min="1" max="100" .value=${String(quality)} @change=${chooseQuality} />
            </label>
          </p>`
        : nothing
    }
  </details>`;
}
