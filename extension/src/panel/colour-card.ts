/** The colour of original and normalised slide at the same places, with the difference. */
import { html, nothing, type TemplateResult } from 'lit';
import { ref } from 'lit/directives/ref.js';
import { ciede2000 } from '../../../core/src/stain/ciede2000.ts';
import { type ColourReading, meanLab, type Spread } from '../../../core/src/stain/colour-reading.ts';
import { resultName } from '../names.ts';
import { MEASURED, type Measurement, type PluginModel, type PluginState } from '../state.ts';
import { formatCount, formatDecimal } from '../strings/language.ts';
import { translate } from '../strings/translate.ts';
import { stainPlot } from './stain-plot.ts';

export function colourCard(model: PluginModel): TemplateResult {
  const { measurement } = model.state;
  return html`<section>
    <details>
      <summary>${translate('colour.title')}</summary>
      <p class="row" role="group" aria-label=${translate('colour.title')}>
        ${MEASURED.map(
          (of) => html`<button
            type="button"
            aria-pressed=${String(measurement?.of === of)}
            @click=${() => (measurement?.of === of && (of === 'pointer' || measurement.isChoosing) ? model.stopMeasuring() : model.measure(of))}
          >
            ${translate(`colour.${of}`)}
          </button>`,
        )}
      </p>
      ${measurement ? reading(measurement, model.state) : html`<p class="muted">${translate('colour.hint')}</p>`} ${stainPlot(model)}
    </details>
  </section>`;
}

function reading(measurement: Measurement, state: PluginState): TemplateResult {
  const { of, isChoosing, against, normalized } = measurement;
  if (isChoosing) return html`<p role="status">${translate('colour.drag')}</p>`;
  const [otherTitle, title] = titles(state);
  const sides = [
    { title: otherTitle, reading: against },
    { title, reading: normalized },
  ].filter((side) => side.reading !== null) as { title: string; reading: ColourReading }[];
  if (sides.length === 0)
    return html`<p class="muted">${translate(of === 'pointer' ? 'colour.point' : 'colour.nothing')}</p>`;
  const isMany = sides.some((side) => side.reading.pixels > 1);
  return html`${
    against && normalized
      ? html`<p>
            ${translate('colour.difference', {
              value: formatDecimal(ciede2000(meanLab(against), meanLab(normalized)), 1),
            })}
          </p>`
      : nothing
  }
    <table ${ref(bringIntoView)}>
      <thead>
        <tr>
          <td></td>
          ${sides.map(
            ({ title, reading }) =>
              html`<th scope="col"><span class="swatch" style="background:${swatch(reading)}"></span> ${title}</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${ROWS.map(
          ({ name, digits, valuesOf }) => html`<tr>
            <th scope="row">${name()}</th>
            ${sides.map(({ reading }) => html`<td>${cell(valuesOf(reading), digits, isMany)}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
    ${isMany ? html`<p class="muted">${translate('colour.places', { count: formatCount(sides[0]!.reading.pixels) })}</p>` : nothing}`;
}

/** When the readings first appear: on a small screen they would lie below the edge of the panel. */
function bringIntoView(element: Element | undefined): void {
  // It is not in the page yet.
  requestAnimationFrame(() => element?.scrollIntoView({ block: 'nearest' }));
}

/** What the two sides are called. Where several results are seen, each needs more than one word. */
function titles(state: PluginState): readonly [string, string] {
  const { comparison } = state;
  const original = translate('viewport.original');
  if (!comparison?.against.derived && !comparison?.others.length)
    return [original, translate('viewport.normalized')];
  const { against, normalized } = comparison;
  return [against.derived ? resultName(against, state) : original, resultName(normalized, state)];
}

const ROWS: readonly {
  name(): string;
  readonly digits: number;
  valuesOf(reading: ColourReading): readonly Spread[];
}[] = [
  { name: () => 'sRGB', digits: 0, valuesOf: ({ rgb }) => rgb },
  { name: () => translate('colour.density'), digits: 2, valuesOf: ({ density }) => density },
  { name: () => 'CIELAB', digits: 1, valuesOf: ({ lab }) => lab },
  {
    name: () => translate('colour.haematoxylin'),
    digits: 2,
    valuesOf: ({ haematoxylin }) => [haematoxylin],
  },
  { name: () => translate('colour.eosin'), digits: 2, valuesOf: ({ eosin }) => [eosin] },
];

function cell(values: readonly Spread[], digits: number, isMany: boolean): string {
  return values
    .map(({ mean, sd }) =>
      isMany
        ? translate('colour.spread', { mean: formatDecimal(mean, digits), sd: formatDecimal(sd, digits) })
        : formatDecimal(mean, digits),
    )
    .join(isMany ? '\n' : '  ');
}

function swatch({ rgb }: ColourReading): string {
  return `rgb(${rgb.map(({ mean }) => Math.round(mean)).join(', ')})`;
}
