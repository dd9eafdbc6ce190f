/** Transfer, output, preview and the button that everything is about. */
import { html, nothing, type TemplateResult } from 'lit';
import { isFinal } from '../../../core/src/contract/job-state.ts';
import type { PluginModel, PreviewStatus } from '../state.ts';
import { formatSeconds } from '../strings/language.ts';
import { translate } from '../strings/translate.ts';
import { errorBox } from './error-box.ts';
import { outputChoice } from './output-choice.ts';
import { transferChoice } from './transfer-choice.ts';

export function actionsCard(model: PluginModel): TemplateResult {
  const { template, preview, previewError, service, job } = model.state;
  const isAway = service.state === 'failed';
  const isBusy = job !== null && !isFinal(job.state);
  return html`<section>
    ${transferChoice(model)}
    ${outputChoice(model)}
    <p class="row">
      <button
        type="button"
        ?disabled=${!preview && !template}
        @click=${() => (preview ? model.stopPreview() : model.preview())}
      >
        ${translate(preview ? 'action.stopPreview' : 'action.preview')}
      </button>
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
    ${preview ? status(preview) : nothing} ${
      previewError
        ? errorBox(previewError, { label: translate('action.dismiss'), act: () => model.dismissError() })
        : nothing
    }
  </section>`;
}

function status({
  firstTileMs,
  tilesDone,
  tilesTotal,
  statistics,
  isChanging,
}: PreviewStatus): TemplateResult {
  if (firstTileMs === null || isChanging)
    return html`<div role="status">${translate('preview.starting')}</div>`;
  const first = { seconds: formatSeconds(firstTileMs / 1000) };
  return html`<div role="status">
      ${translate('preview.progress', { done: tilesDone, total: tilesTotal })}
    </div>
    <div class="muted">${translate('preview.first', first)}</div>
    ${statistics === 'visible' ? html`<p class="warning">${translate('preview.visible')}</p>` : nothing}`;
}
