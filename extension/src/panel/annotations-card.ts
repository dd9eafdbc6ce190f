/** What is drawn on the slide, on what picture of it, and whether the archive has it. */
import { html, nothing, type TemplateResult } from 'lit';
import type { PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';

export function annotationsCard(model: PluginModel): TemplateResult | typeof nothing {
  const { list, isKept, isKeeping } = model.state.annotations;
  if (list.length === 0 && isKept) return nothing;
  return html`<section>
    <h2>${translate('annotations.title')}</h2>
    <p class="row">
      <button class="primary" type="button" ?disabled=${isKept || isKeeping} @click=${() => model.keepAnnotations()}>
        ${translate('annotations.keep')}
      </button>
    </p>
    <div role="status" class=${isKept ? 'muted' : 'warning'}>
      ${translate(isKept ? 'annotations.kept' : isKeeping ? 'annotations.keeping' : 'annotations.unkept')}
    </div>
    <details>
      <summary>${translate('annotations.count', { count: list.length })}</summary>
      <ol>
        ${list.map(
          ({ label, shown }) =>
            html`<li>
              ${label || translate('annotations.unnamed')}
              <div class="muted">${translate('annotations.drawnOn', { shown })}</div>
            </li>`,
        )}
      </ol>
    </details>
  </section>`;
}
