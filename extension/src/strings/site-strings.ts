/** The words that a site has configured in its viewer. */
import type { Services } from '../ohif/types.ts';
import { type OwnStrings, setStrings } from './translate.ts';

const CUSTOMIZATION = 'stainNormalization.strings';

let customizations: Services['customizationService'] | undefined;

/** Plugins are registered before the viewer has read its configuration. */
export function keepCustomizations(service: Services['customizationService']): void {
  customizations = service;
}

export function readSiteStrings(): void {
  const own = customizations?.getCustomization(CUSTOMIZATION);
  if (own) setStrings(own as OwnStrings);
}
