/**
 * The stain classes of slide and template in the chromaticity plane of the HSD model (van der Laak et al. 2000): a class
 * is a direction from grey, whatever its density.
 */
import { html, nothing, svg, type TemplateResult } from 'lit';
import type { ClassStatistics } from '../../../core/src/stain/class-statistics.ts';
import { occurs } from '../../../core/src/stain/stain.ts';
import type { PluginModel } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { classColour } from './format.ts';

/** The part of the plane in which haematoxylin, eosin and grey lie; what is outside is drawn at the edge. */
const LEFT = -0.75;
const BOTTOM = -0.2;
const EXTENT = 1.1;
const SIZE = 200;
/** Where a class that is grey lies. */
const GREY = pointOf({ mean: [0, 0, 0] });

export function stainPlot({ state }: PluginModel): TemplateResult | typeof nothing {
  if (state.stain.state !== 'ready') return nothing;
  const template =
    state.templates.state === 'ready'
      ? state.templates.value.find(({ id }) => id === state.template)
      : undefined;
  const label = template
    ? translate('colour.plot', { template: template.name })
    : translate('colour.plot.slide');
  return html`<figure>
    <svg viewBox="0 0 ${SIZE} ${SIZE}" width=${SIZE} height=${SIZE} role="img" aria-label=${label}>
      ${svg`<path d="M0 ${GREY[1]}H${SIZE}M${GREY[0]} 0V${SIZE}" stroke="#39426b" />
        <text x=${GREY[0] - 4} y="12" text-anchor="end">${translate('colour.plot.green')}</text>
        <text x=${SIZE - 4} y=${GREY[1] + 14} text-anchor="end">${translate('colour.plot.red')}</text>`}
      ${tissueClasses(state.stain.value.classes).map((one) => {
        const [x, y] = pointOf(one);
        return svg`<line x1=${GREY[0]} y1=${GREY[1]} x2=${x} y2=${y} stroke=${classColour(one)} />
          <circle cx=${x} cy=${y} r="5" fill=${classColour(one)} stroke="#fff" />`;
      })}
      ${tissueClasses(template?.classes ?? []).map((one) => {
        const [x, y] = pointOf(one);
        return svg`<rect x=${x - 5} y=${y - 5} width="10" height="10" fill="none" stroke=${classColour(one)} stroke-width="2.5" />`;
      })}
    </svg>
    <figcaption class="muted">${label}</figcaption>
  </figure>`;
}

/** Without the glass, which has no colour, and classes that hardly occur. */
function tissueClasses(classes: readonly ClassStatistics[]): ClassStatistics[] {
  return classes.slice(0, -1).filter(occurs);
}

function pointOf({ mean: [, cx, cy] }: Pick<ClassStatistics, 'mean'>): [x: number, y: number] {
  const along = (value: number, from: number): number =>
    Math.min(Math.max((value - from) / EXTENT, 0.03), 0.97) * SIZE;
  return [along(cx, LEFT), SIZE - along(cy, BOTTOM)];
}
