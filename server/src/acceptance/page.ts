/** `acceptance.html`: what a pathologist reads, prints and signs. One file, without scripts and without identifiers. */
import { ERROR_TABLE, type ErrorCode } from '../../../core/src/errors.ts';
import { Html, html } from '../web/html.ts';
import type { AcceptanceDocument, ScannerRecord, SlideRecord } from './document.ts';
import { MAX_CHANCE, MIN_SHIFT, MIN_SLIDES, MIN_SPREAD_RATIO } from './drift.ts';
import { REGION, type SlidePictures } from './measure-slide.ts';
import type { Proportion } from './proportion.ts';
import { scannerName } from './scanner.ts';

/** JPEG files of a slide; a refused one has a thumbnail at most. */
export type PageSlide = { readonly pictures: SlidePictures } | { readonly thumbnail: Uint8Array };

/** By the numbers of scanner and slide. */
export type PageSlides = ReadonlyMap<number, ReadonlyMap<number, PageSlide>>;

/** A4 with margins of 10 mm is 718 CSS pixels wide: two regions pixel by pixel, beside the thumbnails. */
const THUMBNAIL_WIDTH = 120;

const STYLE = `
@page { size: A4; margin: 10mm; }
body { margin: 1rem auto; width: 718px; color: #000; background: #fff; font: 13px/1.45 system-ui, sans-serif; }
@media print { body { margin: 0; } }
h1 { font-size: 20px; margin: 0 0 4px; }
h2 { font-size: 16px; margin: 0 0 6px; }
h3 { font-size: 13px; margin: 14px 0 4px; }
p { margin: 4px 0; }
table { border-collapse: collapse; width: 100%; margin: 6px 0; }
th, td { border: 1px solid #888; padding: 3px 6px; text-align: left; vertical-align: top; font-weight: normal; }
.facts th { white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
thead th { background: #eee; font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.scanner { break-before: page; padding-top: 12px; }
.slide { break-inside: avoid; border-top: 1px solid #888; padding: 6px 0 8px; }
.slide h3 { margin: 0 0 2px; }
.pictures { display: grid; grid-template-columns: ${THUMBNAIL_WIDTH}px ${REGION}px ${REGION}px; gap: 4px 9px; align-items: start; }
.pictures img { display: block; }
.thumbnails img { margin-bottom: 4px; max-width: ${THUMBNAIL_WIDTH}px; max-height: 118px; }
figure { margin: 0; }
figcaption, .thumbnails { font-size: 11px; line-height: 1.3; }
.sign { break-inside: avoid; border: 1px solid #000; padding: 8px 12px 12px; margin-top: 14px; }
.line { display: flex; gap: 8px; align-items: end; margin-top: 16px; }
.line span:last-child { flex: 1; border-bottom: 1px solid #000; }
.remarks { margin-top: 48px; }
.hash { font-family: ui-monospace, monospace; font-size: 11px; }
`;

export function acceptancePage({ content, sha256 }: AcceptanceDocument, slides: PageSlides): string {
  const { createdAt, software, model, template, transfer, seed, perScanner, series, baseline, scanners } =
    content;
  const facts: readonly (readonly [string, string])[] = [
    ['Made', `${createdAt.slice(0, 16).replace('T', ' ')} UTC`],
    ['Template', `${template.id} (SHA-256 ${template.sha256})`],
    ['Model', `${model.name} ${model.version} (SHA-256 ${model.sha256}), transfer ${transfer}`],
    ['Software', software.join(', ')],
    [
      'Slides',
      `${perScanner} of each scanner at most, drawn at random (seed ${seed}) from the ${series.read} series of which the scanner was read, of ${series.found} found`,
    ],
    [
      'Compared with',
      baseline
        ? `the acceptance of ${baseline.createdAt.slice(0, 10)} (${baseline.sha256})`
        : 'nothing: no earlier acceptance was named',
    ],
    ['This acceptance', `SHA-256 ${sha256}`],
  ];
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Acceptance of stain normalisation, ${createdAt.slice(0, 10)}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<h1>Acceptance of stain normalisation</h1>
<p>Research use only. Not for primary diagnosis.</p>
<table class="facts">${facts.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</table>
<p>Each scanner has a page to sign. Judge by the pictures whether the normalised slides can be read; the figures say how often a
slide is refused and how far its colours are from the template. Distances of nuclei and stroma to the template, before and
after, are CIEDE2000 between mean colours, medians over the slides: about 1 is just visible side by side, above 5 is another colour.
Those after were measured on the normalised pixels.</p>
${summary(scanners)}
${scanners.map((one) => scannerSection(one, slides.get(one.number), sha256))}
</body>
</html>
`.text;
}

function summary(scanners: readonly ScannerRecord[]): Html {
  const rows = scanners.map(({ number, scanner, found, refused, distance, drift, failed }) => {
    const { before, after } = distance;
    return html`<tr><td class="number">${number}</td><td>${scannerName(scanner)}</td>
<td class="number">${refused.of + failed} of ${found}</td><td>${rateText(refused)}</td>
<td class="number">${change(before.nuclei, after.nuclei)}</td><td class="number">${change(before.stroma, after.stroma)}</td>
<td>${driftWord(drift)}</td></tr>`;
  });
  return html`<table><thead><tr><th scope="col" class="number">No.</th><th scope="col">Scanner</th><th scope="col" class="number">Slides</th>
<th scope="col">Refused</th><th scope="col" class="number">Nuclei</th><th scope="col" class="number">Stroma</th><th scope="col">Drift</th></tr></thead>
<tbody>${rows}</tbody></table>`;
}

function scannerSection(
  record: ScannerRecord,
  pictures: ReadonlyMap<number, PageSlide> | undefined,
  sha256: string,
): Html {
  const { number, scanner, refused, refusals, failed, score, distance, slides } = record;
  const reasons = Object.entries(refusals).map(
    ([code, count]) =>
      html`<tr><td class="number">${count}</td><td>${code}</td><td>${remedyOf(code)}</td></tr>`,
  );
  const shown = slides.filter((slide) => pictures?.has(slide.number) || slide.state !== 'FITTED');
  return html`<section class="scanner">
<h2>Scanner ${number}</h2>
<p>${scannerName(scanner)}</p>
<table class="facts">
<tr><th scope="row">Refused</th><td>${rateText(refused)}</td></tr>
${failed > 0 ? html`<tr><th scope="row">Not known</th><td>${failed} slides could not be looked at, because the archive or this machine failed; they count in no figure</td></tr>` : ''}
<tr><th scope="row">Looks unlike H&amp;E</th><td>${score === null ? 'no slide' : `score ${score.toFixed(2)} (median, 0 to 1)`}</td></tr>
<tr><th scope="row">Nuclei to template</th><td>${change(distance.before.nuclei, distance.after.nuclei)} (CIEDE2000, before and after)</td></tr>
<tr><th scope="row">Stroma to template</th><td>${change(distance.before.stroma, distance.after.stroma)} (CIEDE2000, before and after)</td></tr>
<tr><th scope="row">Drift</th><td>${driftText(record)}</td></tr>
</table>
${reasons.length > 0 ? html`<h3>Why slides were refused</h3><table><thead><tr><th scope="col" class="number">Slides</th><th scope="col">Code</th><th scope="col">What to do</th></tr></thead><tbody>${reasons}</tbody></table>` : ''}
<h3>Slides</h3>
${shown.map((slide) => slideBlock(slide, pictures?.get(slide.number)))}
${shown.length < slides.length ? html`<p>The other ${slides.length - shown.length} slides are in acceptance.json, without pictures.</p>` : ''}
${signBlock(record, sha256)}
</section>`;
}

function slideBlock(
  { number, state, code, score, distance, notes }: SlideRecord,
  shown: PageSlide | undefined,
): Html {
  const figures = distance
    ? `score ${score!.toFixed(2)}, nuclei ${change(distance.before.nuclei, distance.after.nuclei)}, stroma ${change(distance.before.stroma, distance.after.stroma)}`
    : `${state === 'REFUSED' ? 'refused' : 'not known'}: ${code}`;
  const remarks = notes.map(({ message }) => html`<p>${message}</p>`);
  return html`<div class="slide"><h3>Slide ${number}: ${figures}</h3>${remarks}${picturesBlock(number, shown)}</div>`;
}

function picturesBlock(number: number, shown: PageSlide | undefined): Html {
  if (!shown) return html``;
  if ('thumbnail' in shown)
    return html`<div class="thumbnails">${picture(shown.thumbnail, `Slide ${number} as it is`)}</div>`;
  const { thumbnail, region } = shown.pictures;
  return html`<div class="pictures">
<div class="thumbnails">${picture(thumbnail.before, `Slide ${number} before`)}${picture(thumbnail.after, `Slide ${number} after`)}Before, after</div>
<figure>${picture(region.before, `A region of slide ${number} before`)}<figcaption>Before, full resolution</figcaption></figure>
<figure>${picture(region.after, `The same region of slide ${number} after`)}<figcaption>After</figcaption></figure>
</div>`;
}

function picture(jpeg: Uint8Array, alternative: string): Html {
  return html`<img alt="${alternative}" src="data:image/jpeg;base64,${Buffer.from(jpeg).toString('base64')}">`;
}

function signBlock({ number, scanner }: ScannerRecord, sha256: string): Html {
  return html`<div class="sign">
<h3>Decision for scanner ${number}</h3>
<p>${scannerName(scanner)}</p>
<p>&#9744; accepted &nbsp;&nbsp; &#9744; rejected</p>
${['Name', 'Role', 'Date', 'Signature'].map((name) => html`<div class="line"><span>${name}</span><span></span></div>`)}
<div class="line remarks"><span>Remarks</span><span></span></div>
<p class="hash">SHA-256 ${sha256}</p>
</div>`;
}

export function rateText({ count, of, rate, low, high }: Proportion): string {
  if (rate === null) return 'no slide was looked at';
  const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;
  return `${count} of ${of}: ${percent(rate)} (95 % confidence: ${percent(low)} to ${percent(high)})`;
}

function change(before: number | null, after: number | null): string {
  const number = (value: number | null): string => (value === null ? 'none' : value.toFixed(1));
  return before === null && after === null ? 'none' : `${number(before)} \u2192 ${number(after)}`;
}

function driftWord(drift: ScannerRecord['drift']): Html | string {
  if (!drift) return 'not compared';
  if (!drift.found || drift.found.isDrift === null) return 'too few slides';
  return drift.found.isDrift ? html`<strong>yes</strong>` : 'none found';
}

/** What was found, and what would count as drift. */
export function driftText({ drift }: ScannerRecord): string {
  if (!drift) return 'Not compared: no earlier acceptance of this scanner was named.';
  const { found, softwareBefore, refusedBefore } = drift;
  const parts: string[] = [];
  if (softwareBefore)
    parts.push(`The scanner had other software then: ${softwareBefore.join(', ') || 'not named'}.`);
  if (!found) parts.push('No slide then or now shows both nuclei and stroma.');
  else {
    const { slidesBefore, slidesNow, nuclei, stroma, shiftChance, spreadRatio, spreadChance, isDrift } =
      found;
    const often = (chance: number): string =>
      `chance gives as much in ${(100 * chance).toFixed(1)} % of cases`;
    parts.push(
      isDrift === null
        ? `Too few slides to tell (${slidesBefore} then, ${slidesNow} now; ${MIN_SLIDES} are needed).`
        : isDrift
          ? 'The stain has drifted.'
          : 'No drift was found, which does not prove that there is none.',
      `Since then the mean colour has moved by ${nuclei.toFixed(1)} (nuclei) and ${stroma.toFixed(1)} (stroma), CIEDE2000 (${often(shiftChance)}).`,
      ...(spreadRatio === null
        ? []
        : [
            `The slides differ ${spreadRatio.toFixed(2)} times as much among each other (${often(spreadChance)}).`,
          ]),
      `Drift is a move by ${MIN_SHIFT} or more, or a spread that has changed by a factor of ${MIN_SPREAD_RATIO} or more, which chance gives in less than ${100 * MAX_CHANCE} % of cases.`,
    );
  }
  parts.push(`Refused then: ${rateText(refusedBefore)}.`);
  return parts.join(' ');
}

function remedyOf(code: string): string {
  return code in ERROR_TABLE ? ERROR_TABLE[code as ErrorCode].remedy : '';
}
