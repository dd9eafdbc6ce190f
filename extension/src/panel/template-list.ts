/** Templates as pictures with names, and how to make one. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Template } from '../../../server/src/contract/index.ts';
import type { PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { errorBox } from './error-box.ts';

export function templateList(model: PluginModel): TemplateResult {
  const { templates } = model.state;
  const retry = { label: translate('action.retry'), act: () => model.retry() };
  return html`<section>
    <h2 id="templates">${translate('templates.title')}</h2>
    ${templates.state === 'loading' ? html`<p class="muted">${translate('templates.loading')}</p>` : nothing}
    ${templates.state === 'failed' ? errorBox(templates.error, retry) : nothing}
    ${
      templates.state === 'ready'
        ? html`<div class="templates" role="radiogroup" aria-labelledby="templates">
            ${templates.value.map((template) => choice(template, model))}
          </div>`
        : nothing
    }
    ${making(model)}
  </section>`;
}

function choice({ id, name, description, thumbnail, own }: Template, model: PluginModel): TemplateResult {
  return html`<div>
    <label title=${description}>
      <img src=${thumbnail} alt="" />
      <input
        type="radio"
        name="template"
        .checked=${id === model.state.template}
        @change=${() => model.chooseTemplate(id)}
      />${name}
    </label>
    ${
      own
        ? html`<button class="plain" type="button" @click=${() => model.removeTemplate(id)}>
            ${translate('templates.remove', { name })}
          </button>`
        : nothing
    }
  </div>`;
}

function making(model: PluginModel): TemplateResult {
  const { makingTemplate } = model.state;
  const abandon = html`<button type="button" @click=${() => model.abandonTemplate()}>
    ${translate('action.abandon')}
  </button>`;
  switch (makingTemplate) {
    case 'choosing-region':
      return html`<p role="status">${translate('templates.dragRegion')}</p>${abandon}`;
    case 'naming':
      return html`<form class="row" @submit=${(event: SubmitEvent) => submit(event, model)}>
        <label>
          ${translate('templates.name')} <input type="text" name="name" required maxlength="80" />
        </label>
        <button class="primary">${translate('templates.create')}</button>${abandon}
      </form>`;
    case 'computing':
      return html`<p role="status">${translate('templates.computing')}</p>`;
    default:
      return html`<p class="row">
        <button type="button" @click=${() => model.templateFromSeries()}>
          ${translate('templates.fromSeries')}
        </button>
        <button type="button" @click=${() => model.templateFromRegion()}>
          ${translate('templates.fromRegion')}
        </button>
      </p>`;
  }
}

function submit(event: SubmitEvent, model: PluginModel): void {
  event.preventDefault();
  const name = String(new FormData(event.target as HTMLFormElement).get('name')).trim();
  if (name) model.createTemplate(name);
}
