/** Studies to choose from, and what is to be done with them. */
import { html, nothing, type TemplateResult } from 'lit';
import { MAX_STUDIES } from '../../../core/src/contract/max-studies.ts';
import { TRANSFERS, type TransferName } from '../../../core/src/stain/transfer-name.ts';
import { errorBox } from '../panel/error-box.ts';
import { formatDicomDate } from '../panel/format.ts';
import { translate } from '../strings/translate.ts';
import type { BatchModel } from './batch-model.ts';
import { PAGE_SIZE, SEARCHED, type StudyPage, type StudyQuery, type StudyRow } from './study-search.ts';

export function studyList(model: BatchModel): TemplateResult {
  const { studies, query } = model.state;
  const again = { label: translate('action.retry'), act: () => model.search(query) };
  return html`<form class="row" role="search" @submit=${(event: SubmitEvent) => submit(event, model)}>
      ${SEARCHED.map(
        (keyword) =>
          html`<label>
            ${translate(`batch.search.${keyword}`)}
            <input type="text" name=${keyword} maxlength="64" placeholder=${keyword === 'StudyDate' ? '20260101-' : ''} />
          </label>`,
      )}
      <button>${translate('batch.search')}</button>
    </form>
    ${studies.state === 'loading' ? html`<p role="status">${translate('batch.searching')}</p>` : nothing}
    ${studies.state === 'failed' ? errorBox(studies.error, again) : nothing}
    ${studies.state === 'ready' ? table(model, studies.value) : nothing} ${bar(model)}`;
}

function table(model: BatchModel, { rows, hasMore }: StudyPage): TemplateResult {
  const { selected, query, offset } = model.state;
  const isFull = selected.size >= MAX_STUDIES;
  const areAll = rows.length > 0 && rows.every(({ studyInstanceUid }) => selected.has(studyInstanceUid));
  const turn = (to: number) => () => model.search(query, to);
  return html`${rows.length === 0 ? html`<p role="status">${translate('batch.nothing')}</p>` : nothing}
    <table>
      <thead>
        <tr>
          <th scope="col">
            <input
              type="checkbox"
              aria-label=${translate('batch.selectPage')}
              .checked=${areAll}
              ?disabled=${rows.length === 0 || (isFull && !areAll)}
              @change=${({ target }: Event) => model.select(rows, (target as HTMLInputElement).checked)}
            />
          </th>
          ${(['PatientName', 'PatientID', 'StudyDate', 'StudyDescription', 'AccessionNumber'] as const).map(
            (keyword) => html`<th scope="col">${translate(`batch.column.${keyword}`)}</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${rows.map((row) => line(model, row, isFull))}
      </tbody>
    </table>
    <p class="row">
      ${
        offset > 0
          ? html`<button type="button" @click=${turn(Math.max(0, offset - PAGE_SIZE))}>
              ${translate('batch.previousPage')}
            </button>`
          : nothing
      }
      ${
        hasMore
          ? html`<button type="button" @click=${turn(offset + PAGE_SIZE)}>${translate('batch.nextPage')}</button>`
          : nothing
      }
    </p>`;
}

function line(model: BatchModel, row: StudyRow, isFull: boolean): TemplateResult {
  const isSelected = model.state.selected.has(row.studyInstanceUid);
  const patient = row.patientName || row.patientId;
  const name = patient || row.studyInstanceUid;
  return html`<tr>
    <td>
      <input
        type="checkbox"
        aria-label=${translate('batch.select', { name })}
        .checked=${isSelected}
        ?disabled=${isFull && !isSelected}
        @change=${({ target }: Event) => model.select([row], (target as HTMLInputElement).checked)}
      />
    </td>
    <td>${patient ? row.patientName : row.studyInstanceUid}</td>
    <td>${row.patientId}</td>
    <td class="short">${formatDicomDate(row.date)}</td>
    <td>${row.description}</td>
    <td>${row.accessionNumber}</td>
  </tr>`;
}

/** Template, transfer and the button, always in sight. */
function bar(model: BatchModel): TemplateResult {
  const { templates, template, transfer, selected, isStarting } = model.state;
  const known = templates.state === 'ready' ? templates.value : [];
  const chosen = ({ target }: Event): string => (target as HTMLSelectElement).value;
  const show = (batch: string): void => history.replaceState(history.state, '', `?batch=${batch}`);
  return html`<p class="row bar">
    <label>
      ${translate('templates.title')}
      <select @change=${(event: Event) => model.chooseTemplate(chosen(event))}>
        ${known.map(({ id, name }) => html`<option value=${id} ?selected=${id === template}>${name}</option>`)}
      </select>
    </label>
    <label>
      ${translate('transfer.title')}
      <select @change=${(event: Event) => model.chooseTransfer(chosen(event) as TransferName)}>
        ${TRANSFERS.map(
          (one) =>
            html`<option value=${one} ?selected=${one === transfer}>${translate(`transfer.${one}`)}</option>`,
        )}
      </select>
    </label>
    <button
      class="primary"
      type="button"
      ?disabled=${selected.size === 0 || template === null || isStarting}
      @click=${() => model.start(show)}
    >
      ${translate('action.normalize')}
    </button>
    <span role="status">
      ${translate('batch.selected', { count: selected.size, max: MAX_STUDIES })}
    </span>
  </p>`;
}

function submit(event: SubmitEvent, model: BatchModel): void {
  event.preventDefault();
  const form = new FormData(event.target as HTMLFormElement);
  const query: StudyQuery = Object.fromEntries(
    SEARCHED.map((keyword) => [keyword, String(form.get(keyword) ?? '')]),
  );
  model.search(query);
}
