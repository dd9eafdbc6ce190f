/** The panel: drawn anew from the state after every change. */
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { isFinal } from '../service/follow-job.ts';
import type { PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { actionsCard } from './actions-card.ts';
import { comparisonCard } from './comparison-card.ts';
import { errorBox } from './error-box.ts';
import { formatPercent, formatStage } from './format.ts';
import { jobCard } from './job-card.ts';
import { slideCard } from './slide-card.ts';
import { styles } from './styles.ts';
import { templateList } from './template-list.ts';

export const STAIN_PANEL_ELEMENT = 'stain-normalization-panel';

class StainNormalizationPanel extends LitElement {
  static override styles = styles;

  #model: PluginModel | undefined;
  #unsubscribe: (() => void) | undefined;

  get model(): PluginModel | undefined {
    return this.#model;
  }

  set model(model: PluginModel | undefined) {
    this.#unsubscribe?.();
    this.#model = model;
    this.#unsubscribe = model?.subscribe(() => this.requestUpdate());
    this.requestUpdate();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.model = this.#model;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  protected override render(): TemplateResult | typeof nothing {
    const model = this.#model;
    if (!model) return nothing;
    const { series, error } = model.state;
    const dismiss = { label: translate('action.dismiss'), act: () => model.dismissError() };
    return html`${error ? errorBox(error, dismiss) : nothing} ${slideCard(model)}
      ${series && !series.derived ? html`${templateList(model)}${actionsCard(model)}` : nothing}
      ${series ? html`${jobCard(model)}${comparisonCard(model)}` : nothing}
      <div class="hidden" role="status" aria-live="polite">${announcement(model)}</div>`;
  }
}

/** For screen readers: the stage, and the progress in steps of ten percent. */
function announcement({ state: { job } }: PluginModel): string {
  if (!job) return '';
  if (job.state === 'COMPLETED') return translate('notification.completed');
  if (isFinal(job)) return '';
  const tenths = Math.floor((job.progress?.fraction ?? 0) * 10) / 10;
  return translate('job.progress', { stage: formatStage(job), percent: formatPercent(tenths) });
}

export function defineStainPanel(): void {
  if (!customElements.get(STAIN_PANEL_ELEMENT))
    customElements.define(STAIN_PANEL_ELEMENT, StainNormalizationPanel);
}
