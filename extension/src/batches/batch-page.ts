/** The page of many slides: a list to choose from, or the report on what was chosen. */
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { templateName } from '../names.ts';
import { errorBox } from '../panel/error-box.ts';
import { formatDate } from '../panel/format.ts';
import { styles } from '../panel/styles.ts';
import { translate } from '../strings/translate.ts';
import { type BatchModel, countDone } from './batch-model.ts';
import { reportView } from './report-view.ts';
import { studyList } from './study-list.ts';

export const BATCH_PAGE_ELEMENT = 'stain-normalization-batches';

class BatchPage extends LitElement {
  static override styles = [
    styles,
    css`
      :host { height: 100vh; padding: 16px 32px 32px; font-size: 14px; }
      main { max-width: 1400px; margin: 0 auto; }
      h1 { font-size: 20px; margin: 8px 0; }
      a { color: #8fd8ee; }
      table { width: 100%; border-collapse: collapse; margin: 8px 0; }
      table th { color: #b9c2dd; font-weight: 600; }
      table th, table td { padding: 5px 16px 5px 0; border-bottom: 1px solid #26305c; overflow-wrap: break-word; white-space: normal; }
      table .short { white-space: nowrap; }
      form.row { align-items: end; }
      form input { width: 190px; box-sizing: border-box; }
      form label { display: inline-flex; flex-direction: column; gap: 2px; color: #b9c2dd; }
      input[type='checkbox'] { width: 16px; height: 16px; accent-color: #5acce6; }
      .bar { position: sticky; bottom: 0; background: #050615; padding: 10px 0; border-top: 1px solid #26305c; }
    `,
  ];

  #model: BatchModel | undefined;
  #unsubscribe: (() => void) | undefined;
  /** Where OHIF's pages are: '/', or a path with a slash at its end. */
  base = '/';

  get model(): BatchModel | undefined {
    return this.#model;
  }

  set model(model: BatchModel | undefined) {
    this.#unsubscribe?.();
    this.#model = model;
    this.#unsubscribe = model?.subscribe(() => this.requestUpdate());
    this.requestUpdate();
  }

  protected override render(): TemplateResult | typeof nothing {
    const model = this.#model;
    if (!model) return nothing;
    const { error, report } = model.state;
    const dismiss = { label: translate('action.dismiss'), act: () => model.dismissError() };
    const isReport = report !== null || new URLSearchParams(location.search).has('batch');
    return html`<main>
      <nav class="row">
        <a href=${this.base}>${translate('batch.toStudies')}</a>
        ${isReport ? html`<a href=${location.pathname}>${translate('batch.another')}</a>` : nothing}
      </nav>
      <h1>${translate('batch.title')}</h1>
      ${error ? errorBox(error, dismiss) : nothing}
      ${isReport ? reportView(model, this.base) : html`${studyList(model)}${earlierBatches(model)}`}
    </main>`;
  }
}

function earlierBatches(model: BatchModel): TemplateResult | typeof nothing {
  const { earlier, templates } = model.state;
  // Until the templates are known, their names would be their identifiers.
  if (earlier.length === 0 || templates.state === 'loading') return nothing;
  return html`<section>
    <h2>${translate('batch.earlier')}</h2>
    <ul>
      ${earlier.slice(0, 10).map(
        (batch) =>
          html`<li>
            <a href="?batch=${batch.id}">${formatDate(batch.createdAt)}</a>
            ${templateName(batch.template, model.state)}, ${translate('batch.progress', countDone(batch))}
          </li>`,
      )}
    </ul>
  </section>`;
}

export function defineBatchPage(): void {
  if (!customElements.get(BATCH_PAGE_ELEMENT)) customElements.define(BATCH_PAGE_ELEMENT, BatchPage);
}
