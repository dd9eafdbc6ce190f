/** From the stains of a slide and of a template to the transfer of its pixels. */

import { bluenessOf } from './blueness.ts';
import { type OpticalMap, opticalMap } from './linear.ts';
import { type LinearTables, linearTables } from './linear-tables.ts';
import { type PaperCoefficients, paperCoefficients } from './paper.ts';
import { type Fade, fadeOf, type Stain } from './stain.ts';
import type { TransferName } from './transfer-name.ts';

interface Common {
  /** Nothing below its lower end changes. */
  readonly fade: Fade;
  /** Safeguards that took effect, in sentences. */
  readonly notes: readonly string[];
}

export interface LinearTransfer extends Common {
  readonly name: 'linear';
  readonly map: OpticalMap;
  readonly tables: LinearTables;
}

export interface PaperTransfer extends Common {
  readonly name: 'paper';
  readonly coefficients: PaperCoefficients;
}

export type Transfer = LinearTransfer | PaperTransfer;

/** @param classNames K names: nuclei first, then what eosin stains, glass last */
export function makeTransfer(
  name: TransferName,
  source: Stain,
  template: Stain,
  classNames: readonly string[],
): Transfer {
  return name === 'linear' ? linearTransfer(source, template) : paperTransfer(source, template, classNames);
}

export function linearTransfer(source: Stain, template: Stain): LinearTransfer {
  const map = opticalMap(source, template);
  return {
    name: 'linear',
    fade: fadeOf(source.glassDensity),
    notes: map.notes,
    map,
    tables: linearTables(map, source.glassDensity, bluenessOf(source)),
  };
}

/** @param classNames as above */
export function paperTransfer(source: Stain, template: Stain, classNames: readonly string[]): PaperTransfer {
  const { notes, ...coefficients } = paperCoefficients(source, template, classNames);
  return { name: 'paper', fade: fadeOf(source.glassDensity), notes, coefficients };
}
