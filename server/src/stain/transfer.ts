/** From the stains of a slide and of a template to what moves its pixels. */

import { type OpticalMap, opticalMap } from './linear.ts';
import { type LinearTables, linearTables } from './linear-tables.ts';
import { type PaperCoefficients, paperCoefficients } from './paper.ts';
import { type Fade, fadeOf, type Stain } from './stain.ts';
import type { TransferName } from './transfer-name.ts';

interface Common {
  /** Nothing up to its lower end is changed. */
  readonly fade: Fade;
  /** What was guarded, in sentences. */
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

/** @param classNames K names: those of nuclei, then everything eosin takes, glass last */
export function makeTransfer(
  name: TransferName,
  source: Stain,
  template: Stain,
  classNames: readonly string[],
): Transfer {
  const fade = fadeOf(source.glassDensity);
  if (name === 'paper') {
    const { notes, ...coefficients } = paperCoefficients(source, template, classNames);
    return { name, fade, notes, coefficients };
  }
  const map = opticalMap(source, template);
  return { name, fade, notes: map.notes, map, tables: linearTables(map, source.glassDensity) };
}
