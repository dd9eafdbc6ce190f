/** How far the job is, how it ended and what came of it. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Job } from '../../../core/src/contract/index.ts';
import { isFinal } from '../../../core/src/contract/job-state.ts';
import { modelName, resultName, templateName } from '../names.ts';
import type { PluginModel } from '../state.ts';
import { formatPercent, formatSeconds } from '../strings/language.ts';
import { wordFault, wordNote } from '../strings/service-words.ts';
import { translate } from '../strings/translate.ts';
import { errorBox } from './error-box.ts';
import { formatProvider, formatStage, formatTimeLeft } from './format.ts';

export function jobCard(model: PluginModel): TemplateResult | typeof nothing {
  const { job, series } = model.state;
  // With a derived series in view, an ended job of its source is that of another series, or tells nothing new.
  if (!job || (series?.derived && isFinal(job.state))) return nothing;
  return html`<section>
    <h2>${translate(series?.derived ? 'job.titleOfSource' : 'job.title')}</h2>
    ${isFinal(job.state) ? ended(job, model) : running(job, model)}
  </section>`;
}

function running(job: Job, model: PluginModel): TemplateResult {
  const { fraction = 0, secondsLeft } = job.progress ?? {};
  const { template, transfer } = job.request;
  return html`<div>${[templateName(template, model.state), ...(transfer ? [translate(`transfer.${transfer}`)] : [])].join(', ')}</div>
    <div>${translate('job.progress', { stage: formatStage(job), percent: formatPercent(fraction) })}</div>
    <progress aria-label=${translate('job.title')} max="1" .value=${fraction}></progress>
    <div class="muted">${secondsLeft === undefined ? nothing : formatTimeLeft(secondsLeft)}</div>
    ${job.waiting ? html`<p class="warning">${translate('job.goesOn', { ...wordFault(job.waiting) })}</p>` : nothing}
    ${model.state.live ? nothing : html`<p class="warning">${translate('job.connectionLost')}</p>`}
    <button type="button" ?disabled=${job.cancelRequested} @click=${() => model.cancel()}>
      ${translate(job.cancelRequested ? 'action.cancelling' : 'action.cancel')}
    </button>`;
}

function ended(job: Job, model: PluginModel): TemplateResult {
  if (job.state === 'CANCELED')
    return html`<p>${job.stored ? translate('job.cancelledInPart', { ...job.stored }) : translate('job.cancelled')}</p>`;
  if (job.error)
    return errorBox(wordFault(job.error), { label: translate('action.retry'), act: () => model.normalize() });
  if (!job.result) return html`<p>${translate('job.failed')}</p>`;
  const { template, model: network, transfer, fit, executionProvider, seconds, notes } = job.result;
  const made = model.state.results.find(
    ({ seriesInstanceUid }) => seriesInstanceUid === job.result?.seriesInstanceUid,
  );
  const sampled = { tiles: fit.sampledTiles, percent: formatPercent(fit.tissueFraction) };
  const facts = [
    ...(made ? [['result.series', resultName(made, model.state)] as const] : []),
    ['result.template', templateName(template, model.state)],
    ['result.model', modelName(`${network.name} ${network.version}`)],
    ...(transfer ? [['transfer.title', translate(`transfer.${transfer}`)] as const] : []),
    ['result.fit', translate('result.fitValue', sampled)],
    ['result.provider', formatProvider(executionProvider)],
  ] as const;
  return html`<p>${translate('job.completed', { seconds: formatSeconds(seconds) })}</p>
    <dl>
      ${facts.map(([key, value]) => html`<dt>${translate(key)}</dt><dd>${value}</dd>`)}
    </dl>
    ${notes.map((note) => html`<p class="warning">${wordNote(note)}</p>`)}`;
}
