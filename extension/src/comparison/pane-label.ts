/**
 * Describes what a pane shows. On everything that this product made the warning is always visible (it is not part of
 * the pixels).
 */
import { resultFacts } from '../names.ts';
import type { Derivation, PreviewStatus, SlideSeries } from '../state.ts';
import { translate } from '../strings/translate.ts';

export interface LabelContent {
  /** `partial`: the original still shows in part. */
  readonly role: 'original' | 'normalized' | 'partial' | 'difference';
  readonly title: string;
  readonly lines?: readonly string[];
}

export interface PaneLabel {
  readonly element: HTMLElement;
  say(content: LabelContent): void;
  remove(): void;
}

const BORDER: Record<LabelContent['role'], string> = {
  original: '#ffffff',
  normalized: '#5acce6',
  partial: '#ffd166',
  difference: '#f98e09',
};

/** A label in an upper corner of `container`. It covers only that pane's pixels: the pane must clip it. */
export function addPaneLabel(
  container: HTMLElement,
  content: LabelContent,
  side: 'left' | 'right' = 'left',
): PaneLabel {
  const element = document.createElement('div');
  element.className = 'stain-pane-label';
  element.style.cssText = [
    'position:absolute;top:8px;z-index:4;pointer-events:none;padding:4px 10px;border-radius:4px;box-sizing:border-box',
    `max-width:calc(100% - 16px);${side}:8px;background:rgba(4,6,24,.85);color:#fff`,
    'font:600 13px/1.4 Inter,Arial,sans-serif;border-left:4px solid',
  ].join(';');
  container.append(element);
  let said = '';
  const say = (now: LabelContent): void => {
    const wanted = JSON.stringify(now);
    if (wanted === said) return;
    said = wanted;
    element.dataset['role'] = now.role;
    element.style.borderLeftColor = BORDER[now.role];
    element.replaceChildren(
      line(now.title),
      ...(now.lines ?? []).map((text) => line(text, 'font-weight:400')),
      ...(now.role === 'original'
        ? []
        : [line(translate('viewport.warning'), 'font-weight:400;color:#ffd166', 'stain-warning')]),
    );
  };
  say(content);
  return { element, say, remove: () => element.remove() };
}

function line(text: string, style = '', name = ''): HTMLElement {
  const element = document.createElement('div');
  element.className = name;
  element.style.cssText = style;
  element.textContent = text;
  return element;
}

export function originalLabel(): LabelContent {
  return { role: 'original', title: translate('viewport.original') };
}

/** @param nameOf name of a template by its identifier */
export function normalizedLabel(
  { template }: Derivation,
  nameOf: (template: string) => string,
): LabelContent {
  return {
    role: 'normalized',
    title: translate('viewport.normalized'),
    lines: [
      template === null
        ? translate('viewport.templateUnknown')
        : translate('viewport.template', { template: nameOf(template) }),
    ],
  };
}

/** Of one among several results, which may have a template in common. @param nameOf as above */
export function resultLabel(result: SlideSeries, nameOf: (template: string) => string): LabelContent {
  const [template, ...rest] = resultFacts(result, nameOf);
  return { role: 'normalized', title: translate('viewport.normalized'), lines: [template, rest.join(', ')] };
}

/** @param status of a preview that is drawn over the original */
export function previewLabel({
  state,
  templateName: template,
  tilesDone: done,
  tilesTotal: total,
  isWhole,
}: PreviewStatus): LabelContent {
  if (state === 'starting') return { ...originalLabel(), lines: [translate('preview.starting')] };
  const whole = previewedLabel(template);
  return isWhole
    ? whole
    : {
        role: 'partial',
        title: translate('viewport.previewPartial', { done, total }),
        lines: [...whole.lines, translate('viewport.striped.original')],
      };
}

/** @param template its name */
export function previewedLabel(template: string) {
  return {
    role: 'normalized',
    title: translate('viewport.preview'),
    lines: [translate('viewport.template', { template })],
  } as const satisfies LabelContent;
}

export function failedPreviewLabel(reason: string): LabelContent {
  return { role: 'original', title: translate('viewport.previewFailed', { reason }) };
}

/** @param below what is visible where the difference is not drawn yet @param title of one that is drawn whole */
export function differenceLabel(
  { done, total, isWhole }: { readonly done: number; readonly total: number; readonly isWhole: boolean },
  below: 'original' | 'normalized',
  title: string,
): LabelContent {
  return isWhole
    ? { role: 'difference', title }
    : {
        role: 'partial',
        title: translate('viewport.differencePartial', { done, total }),
        lines: [translate(`viewport.striped.${below}`)],
      };
}

/** @param below what is visible instead of the difference */
export function failedDifferenceLabel(below: LabelContent, reason: string): LabelContent {
  return { ...below, title: translate('viewport.differenceFailed', { label: below.title, reason }) };
}
