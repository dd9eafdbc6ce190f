/** The divider of the swipe: dragged with the pointer, or moved with the arrow keys. */
import { translate } from '../strings/translate.ts';

const STEP = 0.02;
const PAGE = 0.1;

/** @param onMove called with the divider's position, 0 (left edge) to 1 */
export function createDivider(container: HTMLElement, onMove: (position: number) => void): HTMLElement {
  const divider = document.createElement('div');
  divider.className = 'stain-divider';
  divider.tabIndex = 0;
  divider.setAttribute('role', 'slider');
  divider.setAttribute('aria-label', translate('comparison.divider'));
  divider.setAttribute('aria-orientation', 'horizontal');
  divider.setAttribute('aria-valuemin', '0');
  divider.setAttribute('aria-valuemax', '100');
  divider.style.cssText =
    'position:absolute;top:0;bottom:0;width:24px;margin-left:-12px;z-index:3;cursor:ew-resize;touch-action:none;pointer-events:auto;' +
    'background:linear-gradient(90deg,transparent 10px,#fff 10px,#fff 14px,transparent 14px)';
  const handle = document.createElement('div');
  handle.style.cssText =
    'position:absolute;top:50%;left:0;width:24px;height:24px;margin-top:-12px;border-radius:50%;background:#fff;color:#090c29;' +
    'font:700 13px/24px Arial,sans-serif;text-align:center';
  handle.textContent = '⇆';
  handle.setAttribute('aria-hidden', 'true');
  divider.append(handle);

  let position = 0.5;
  const move = (to: number): void => {
    position = Math.min(1, Math.max(0, to));
    divider.style.left = `${position * 100}%`;
    divider.setAttribute('aria-valuenow', String(Math.round(position * 100)));
    onMove(position);
  };
  divider.addEventListener('pointerdown', (event) => {
    divider.setPointerCapture(event.pointerId);
    event.preventDefault();
    divider.focus();
  });
  divider.addEventListener('pointermove', (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const { left, width } = container.getBoundingClientRect();
    move((event.clientX - left) / width);
  });
  divider.addEventListener('keydown', (event) => {
    const to = {
      ArrowLeft: position - STEP,
      ArrowRight: position + STEP,
      PageDown: position - PAGE,
      PageUp: position + PAGE,
      Home: 0,
      End: 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move(to);
  });
  container.append(divider);
  move(position);
  return divider;
}
