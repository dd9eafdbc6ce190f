/** Names of what headers and jobs tell by identifiers. */
import { transferOf } from '../../core/src/stain/transfer-name.ts';
import type { PluginState, SlideSeries } from './state.ts';
import { formatCount } from './strings/language.ts';
import { translate, translateName } from './strings/translate.ts';

type KnownTemplates = Pick<PluginState, 'templates'>;

/** As the panel calls it; its identifier when it has been removed, or while the service is away. */
export function templateName(id: string, { templates }: KnownTemplates): string {
  const known = templates.state === 'ready' ? templates.value : [];
  return known.find((one) => one.id === id)?.name ?? id;
}

/** @param model name and version */
export function modelName(model: string): string {
  const [name = '', ...version] = model.split(' ');
  return [translateName('model', name), ...version].join(' ');
}

/** @param words of a header; those of another version stay as they are */
export function transferName(words: string): string {
  const name = transferOf(words);
  return name === undefined ? words : translate(`transfer.${name}`);
}

/** @param quality of JPEG */
export function encodingName(encoding: string, quality: number | null): string {
  const name = translateName('output', encoding);
  return quality === null ? name : `${name}, ${formatCount(quality)}`;
}

/** Tells a result from the others of its slide, over its picture. @param nameOf name of a template by its identifier */
export function resultFacts(
  { derived, number }: SlideSeries,
  nameOf: (template: string) => string,
): readonly [template: string, ...rest: string[]] {
  const { template = null, transfer = null } = derived ?? {};
  return [
    template === null
      ? translate('viewport.templateUnknown')
      : translate('viewport.template', { template: nameOf(template) }),
    ...(transfer === null ? [] : [transferName(transfer)]),
    translate('result.number', { number: String(number) }),
  ];
}

/** Tells the results of a slide apart: how each was made, with the number that the viewer's list of series has. */
export function resultName({ derived, description, number }: SlideSeries, known: KnownTemplates): string {
  if (!derived?.template) return description || translate('viewport.templateUnknown');
  const { template, transfer, record } = derived;
  const how = [
    templateName(template, known),
    ...(transfer === null ? [] : [transferName(transfer)]),
    ...(record?.encoding ? [encodingName(record.encoding, record.quality)] : []),
  ];
  return translate('result.name', { how: how.join(', '), number: String(number) });
}
