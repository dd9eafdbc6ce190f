/** Transfer, output, preview and the button that everything is about. */
import { html, nothing, type TemplateResult } from 'lit';
import { isFinal } from '../service/follow-job.ts';
import type { PluginModel, PreviewStatus } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { errorBox } from './error-box.ts';
import { formatSeconds } from './format.ts';
import { outputChoice } from './output-choice.ts';
import { transferChoice } from './transfer-choice.ts';

export function actionsCard(model: PluginModel): TemplateResult {
  const { template, preview, previewError, service, job } = model.state;
  const isAway = service.state === 'failed';
  const isBusy = job !== null && !isFinal(job);
  return html`<section>
    ${transferChoice(model)}
    ${outputChoice(model)}
    <p class="row">
      ${
        preview
          ? html`<button type="button" @click=${() => model.stopPreview()}>
              ${translate('action.stopPreview')}
            </button>`
          : html`<button type="button" ?disabled=${!template} @click=${() => model.preview()}>
              ${translate('action.preview')}
            </button>`
      }
      <button
        class="primary"
        type="button"
        title=${isAway ? translate('error.serviceAway') : ''}
        ?disabled=${!template || isAway || isBusy}
        @click=${() => model.normalize()}
      >
        ${translate('action.normalize')}
      </button>
    </p>
    ${isAway ? errorBox(service.error, { label: translate('action.retry'), act: () => model.retry() }) : nothing}
    ${preview ? status(preview) : nothing} ${previewError ? errorBox(previewError) : nothing}
  </section>`;
}

function status({
  firstTileMs,
  executionProvider,
  tilesDone,
  tilesTotal,
  statistics,
}: PreviewStatus): TemplateResult {
  if (firstTileMs === null) return html`<div role="status">${translate('preview.starting')}</div>`;
  const first = { seconds: formatSeconds(firstTileMs / 1000), provider: executionProvider ?? '' };
  return html`<div role="status">
      ${translate('preview.progress', { done: tilesDone, total: tilesTotal })}
    </div>
    <div class="muted">${translate('preview.first', first)}</div>
    ${statistics === 'visible' ? html`<p class="warning">${translate('preview.visible')}</p>` : nothing}`;
}
