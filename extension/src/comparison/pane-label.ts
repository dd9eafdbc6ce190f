/** Says in words what a pane shows. On what we derived the warning is always there (it is not part of the pixels). */
import { translate } from '../strings/translate.ts';

/** A label in the upper left corner of `container`; answers the element. */
export function addPaneLabel(
  container: HTMLElement,
  isDerived: boolean,
  side: 'left' | 'right' = 'left',
): HTMLElement {
  const label = document.createElement('div');
  label.className = 'stain-pane-label';
  label.dataset['role'] = isDerived ? 'normalized' : 'original';
  label.style.cssText = [
    'position:absolute;top:8px;z-index:4;pointer-events:none;padding:4px 10px;border-radius:4px',
    `${side}:8px;background:rgba(4,6,24,.85);color:#fff;font:600 13px/1.4 Inter,Arial,sans-serif`,
    `border-left:4px solid ${isDerived ? '#5acce6' : '#ffffff'}`,
  ].join(';');
  label.textContent = translate(isDerived ? 'viewport.normalized' : 'viewport.original');
  if (isDerived) {
    const warning = document.createElement('div');
    warning.className = 'stain-warning';
    warning.style.cssText = 'font-weight:400;color:#ffd166';
    warning.textContent = translate('viewport.warning');
    label.append(warning);
  }
  container.append(label);
  return label;
}
