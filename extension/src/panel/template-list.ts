/** Templates as pictures with names, and how to make one. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Template } from '../../../core/src/contract/index.ts';
import { PICTURE_SUBJECTS, type PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { errorBox } from './error-box.ts';

export function templateList(model: PluginModel): TemplateResult {
  const { templates } = model.state;
  const retry = { label: translate('action.retry'), act: () => model.retry() };
  return html`<section>
    <div class="titled">
      <h2 id="templates">${translate('templates.title')}</h2>
      ${templates.state === 'ready' ? subjects(model) : nothing}
    </div>
    ${templates.state === 'loading' ? html`<p class="muted">${translate('templates.loading')}</p>` : nothing}
    ${templates.state === 'failed' ? errorBox(templates.error, retry) : nothing}
    ${
      templates.state === 'ready'
        ? html`<div class="templates" role="radiogroup" aria-labelledby="templates">
            ${templates.value.map((template) => choice(template, model))}
          </div>`
        : nothing
    }
    ${removal(model)}${making(model)}
  </section>`;
}

/** What the pictures show; what is in view is looked at anew by pressing it again. */
function subjects(model: PluginModel): TemplateResult {
  const { of } = model.state.pictures;
  return html`<p role="group" aria-label=${translate('pictures.title')}>
    ${PICTURE_SUBJECTS.map(
      (subject) =>
        html`<button
          type="button"
          aria-pressed=${subject === of ? 'true' : 'false'}
          title=${translate(`pictures.${subject}.hint`)}
          @click=${() => model.showPictures(subject)}
        >
          ${translate(`pictures.${subject}`)}
        </button>`,
    )}
  </p>`;
}

function picture(id: string, thumbnail: string, { state: { pictures } }: PluginModel): TemplateResult {
  const url = pictures.of === 'template' ? thumbnail : pictures.urls[id];
  return url === undefined
    ? html`<span class="picture waiting" aria-hidden="true"></span>`
    : html`<img src=${url} alt="" data-turns=${pictures.turns} />`;
}

function choice(
  { id, name, description, thumbnail, mayRemove, usable }: Template,
  model: PluginModel,
): TemplateResult {
  return html`<div>
    <label title=${usable ? description : translate('templates.outdated')}>
      ${picture(id, thumbnail, model)}
      <input
        type="radio"
        name="template"
        .checked=${id === model.state.template}
        ?disabled=${!usable}
        @change=${() => model.chooseTemplate(id)}
      />${name}
    </label>
    ${
      mayRemove
        ? html`<button class="plain" type="button" @click=${() => model.askToRemoveTemplate(id)}>
            ${translate('templates.remove', { name })}
          </button>`
        : nothing
    }
    ${usable ? nothing : html`<p class="warning">${translate('templates.outdated')}</p>`}
  </div>`;
}

/** Asks before a template is removed, and says what becomes of what was made with it. */
function removal(model: PluginModel): TemplateResult | typeof nothing {
  const { removingTemplate } = model.state;
  if (!removingTemplate) return nothing;
  const { name, unfinishedJobs } = removingTemplate;
  return html`<div role="alertdialog" aria-labelledby="removal">
    <p id="removal">
      ${translate('templates.removal', { name })}
      ${unfinishedJobs > 0 ? translate('templates.removal.jobs', { count: String(unfinishedJobs) }) : nothing}
      ${translate('templates.removal.series')}
    </p>
    <p class="row">
      <button type="button" @click=${() => model.removeTemplate()}>${translate('templates.removal.yes')}</button>
      <button type="button" data-asks @click=${() => model.keepTemplate()}>${translate('action.abandon')}</button>
    </p>
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
          ${translate('templates.name')}
          <input type="text" name="name" required maxlength="80" data-asks />
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
