/** The card with the keys: a modal dialog of the browser's, which keeps the focus and closes with Escape. */
import { css, html, LitElement, type TemplateResult } from 'lit';
import { translate } from '../strings/translate.ts';
import { formatKeys } from './format-keys.ts';
import { type BoundShortcut, boundShortcuts } from './shortcuts.ts';

const HELP_CARD_ELEMENT = 'stain-normalization-shortcuts';

class HelpCard extends LitElement {
  static override styles = css`
    dialog { max-width: 480px; padding: 16px 20px; background: #050615; color: #fff; border: 1px solid #4763b8; border-radius: 8px; font: 14px/1.45 Inter, Arial, sans-serif; }
    dialog::backdrop { background: rgba(0, 0, 0, 0.6); }
    h2 { margin: 0 0 8px; font-size: 16px; color: #8fd8ee; }
    table { border-collapse: collapse; width: 100%; }
    th { text-align: left; font-weight: 600; color: #b9c2dd; }
    th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid #26305c; }
    kbd { display: inline-block; min-width: 20px; padding: 1px 6px; border: 1px solid #5a6aa8; border-radius: 4px; background: #101733; text-align: center; font: inherit; }
    p { color: #b9c2dd; }
    button { font: inherit; color: #fff; background: #1a5fd0; border: 1px solid #8ab8ff; border-radius: 4px; padding: 6px 12px; cursor: pointer; }
    :focus-visible { outline: 2px solid #ffd166; outline-offset: 2px; }
  `;

  constructor() {
    super();
    // What is pressed here is not for the slide behind.
    for (const type of ['keydown', 'keypress', 'keyup'])
      this.addEventListener(type, (event) => event.stopPropagation());
  }

  protected override firstUpdated(): void {
    this.shadowRoot!.querySelector('dialog')!.showModal();
  }

  protected override render(): TemplateResult {
    return html`<dialog aria-labelledby="title" @close=${() => this.remove()}>
      <h2 id="title">${translate('shortcuts.title')}</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">${translate('shortcuts.key')}</th>
            <th scope="col">${translate('shortcuts.does')}</th>
          </tr>
        </thead>
        <tbody>
          ${boundShortcuts().map(row)}
        </tbody>
      </table>
      <p>${translate('shortcuts.change')}</p>
      <form method="dialog"><button autofocus>${translate('shortcuts.close')}</button></form>
    </dialog>`;
  }
}

function row({ label, keys }: BoundShortcut): TemplateResult {
  return html`<tr>
    <td>${keys ? html`<kbd>${formatKeys(keys)}</kbd>` : translate('shortcuts.none')}</td>
    <td>${label}</td>
  </tr>`;
}

/** Opens it; where it is open already, that is the one. */
export function showHelpCard(): void {
  if (!customElements.get(HELP_CARD_ELEMENT)) customElements.define(HELP_CARD_ELEMENT, HelpCard);
  // A closed one is removed only when the browser tells of it.
  const cards = [...document.querySelectorAll(HELP_CARD_ELEMENT)];
  if (!cards.some((card) => card.shadowRoot?.querySelector('dialog[open]')))
    document.body.append(document.createElement(HELP_CARD_ELEMENT));
}
