/** The panel: drawn anew from the state after every change. */
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import { isFinal } from '../../../core/src/contract/job-state.ts';
import type { PluginModel } from '../state.ts';
import { formatPercent } from '../strings/language.ts';
import { translate } from '../strings/translate.ts';
import { actionsCard } from './actions-card.ts';
import { annotationsCard } from './annotations-card.ts';
import { colourCard } from './colour-card.ts';
import { comparisonCard } from './comparison-card.ts';
import { errorBox } from './error-box.ts';
import { FocusKeeper } from './focus-keeper.ts';
import { formatStage } from './format.ts';
import { jobCard } from './job-card.ts';
import { keepOwnKeys } from './own-keys.ts';
import { slideCard } from './slide-card.ts';
import { styles } from './styles.ts';
import { templateList } from './template-list.ts';

export const STAIN_PANEL_ELEMENT = 'stain-normalization-panel';

class StainNormalizationPanel extends LitElement {
  static override styles = styles;

  readonly #focus = new FocusKeeper(() => this.shadowRoot);
  #model: PluginModel | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor() {
    super();
    for (const type of ['keydown', 'keypress', 'keyup']) this.addEventListener(type, keepOwnKeys);
  }

  get model(): PluginModel | undefined {
    return this.#model;
  }

  set model(model: PluginModel | undefined) {
    this.#unsubscribe?.();
    this.#model = model;
    this.#unsubscribe = this.isConnected ? model?.subscribe(() => this.requestUpdate()) : undefined;
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
    // The viewer keeps panels that it has removed: what they held is given up.
    this.requestUpdate();
  }

  protected override willUpdate(): void {
    this.#focus.beforeUpdate();
  }

  protected override updated(): void {
    this.#focus.afterUpdate();
  }

  protected override render(): TemplateResult | typeof nothing {
    const model = this.#model;
    if (!model || !this.isConnected) return nothing;
    const { series, error, job } = model.state;
    // What changes is in sight; what has ended is below what can be done.
    const isRunning = series !== null && job !== null && !isFinal(job.state);
    const dismiss = { label: translate('action.dismiss'), act: () => model.dismissError() };
    return html`${error ? html`<div class="notice">${errorBox(error, dismiss)}</div>` : nothing} ${slideCard(model)}
      ${isRunning ? jobCard(model) : nothing} ${series ? comparisonCard(model) : nothing}
      ${series ? annotationsCard(model) : nothing}
      ${series && !series.derived ? html`${templateList(model)}${actionsCard(model)}` : nothing}
      ${series && !isRunning ? jobCard(model) : nothing} ${series ? colourCard(model) : nothing}
      <div class="hidden" role="status" aria-live="polite">${announcement(model)}</div>`;
  }
}

/** For screen readers: the stage, and the progress in steps of ten percent. */
function announcement({ state: { job } }: PluginModel): string {
  if (!job) return '';
  if (job.state === 'COMPLETED') return translate('notification.completed');
  if (isFinal(job.state)) return '';
  const tenths = Math.floor((job.progress?.fraction ?? 0) * 10) / 10;
  return translate('job.progress', { stage: formatStage(job), percent: formatPercent(tenths) });
}

export function defineStainPanel(): void {
  if (!customElements.get(STAIN_PANEL_ELEMENT))
    customElements.define(STAIN_PANEL_ELEMENT, StainNormalizationPanel);
}
