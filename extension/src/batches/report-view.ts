/** What became of each slide of a batch, and the way to it. */
import { html, nothing, type TemplateResult } from 'lit';
import type { BatchReport, BatchSeries } from '../../../core/src/contract/index.ts';
import { templateName } from '../names.ts';
import { formatDate, formatDicomDate } from '../panel/format.ts';
import { wordFault } from '../strings/service-words.ts';
import { translate, translateName } from '../strings/translate.ts';
import { type BatchModel, countDone, isOver } from './batch-model.ts';
import { slideKey } from './study-search.ts';

/** Beyond that, the file has all of them. */
const MAX_LINES = 500;

/** @param base where OHIF's pages are, with a slash at its end */
export function reportView(model: BatchModel, base: string): TemplateResult {
  const { report, error } = model.state;
  if (!report) return error ? html`` : html`<p role="status">${translate('batch.loading')}</p>`;
  const { done, total } = countDone(report);
  return html`<section>
      <p>
        ${[
          formatDate(report.createdAt),
          templateName(report.template, model.state),
          ...(report.transfer ? [translate(`transfer.${report.transfer}`)] : []),
        ].join(', ')}
      </p>
      <p role="status">
        ${translate('batch.progress', { done, total })}
        ${report.isCancelled ? translate('batch.cancelled') : nothing}
      </p>
      <progress aria-label=${translate('batch.title')} max=${total} .value=${done}></progress>
      <p class="muted">${counts(report)}</p>
      <p class="row">
        ${
          isOver(report) || report.isCancelled
            ? nothing
            : html`<button type="button" @click=${() => model.cancel()}>${translate('batch.cancel')}</button>`
        }
        <button type="button" @click=${() => model.csv((file) => save(file, report.id))}>
          ${translate('batch.csv')}
        </button>
      </p>
    </section>
    <table>
      <thead>
        <tr>
          ${(['slide', 'date', 'state', 'reason', 'open'] as const).map(
            (column) => html`<th scope="col">${translate(`batch.report.${column}`)}</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${report.series.slice(0, MAX_LINES).map((line) => row(line, model, base))}
      </tbody>
    </table>
    ${
      report.series.length > MAX_LINES
        ? html`<p>${translate('batch.more', { count: report.series.length - MAX_LINES })}</p>`
        : nothing
    }`;
}

function counts({ counts: byState }: BatchReport): string {
  return Object.entries(byState)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${stateName(state)}: ${count}`)
    .join(' · ');
}

function row(line: BatchSeries, model: BatchModel, base: string): TemplateResult {
  const { state, code, message, studyInstanceUid, derivedSeriesInstanceUid } = line;
  const study = model.state.names.get(studyInstanceUid);
  const slide = model.state.slides.get(slideKey(line));
  const name = [study?.patientName, study?.patientId, study?.description, slide].filter(Boolean).join(', ');
  const at = new URLSearchParams({ StudyInstanceUIDs: studyInstanceUid });
  if (derivedSeriesInstanceUid) at.set('compare', derivedSeriesInstanceUid);
  return html`<tr>
    <td>${name || studyInstanceUid}</td>
    <td class="short">${formatDicomDate(study?.date ?? '')}</td>
    <td class="short">${stateName(state)}</td>
    <td>${code && message ? wordFault({ code, message, remedy: '' }).message : message}${code ? html` <span class="muted">(${code})</span>` : nothing}</td>
    <td class="short">
      <a href="${base}stain?${at}">
        ${translate(derivedSeriesInstanceUid ? 'batch.compare' : 'batch.open')}
      </a>
    </td>
  </tr>`;
}

function stateName(state: string): string {
  return translateName('batch.state', state);
}

/** As a download: a link alone would ask without the user's authorization. */
function save(file: Blob, id: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = `batch-${id}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}
