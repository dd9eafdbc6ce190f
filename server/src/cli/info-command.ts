/** `info`: the version and contents of this installation. */

import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import { type DeviceProof, describeProof } from '../inference/device-proof.ts';
import { type Composition, VERSION } from '../wiring/composition.ts';

export interface Info {
  readonly version: string;
  readonly executionProvider: string;
  readonly providerReason: string | undefined;
  readonly deviceProof: DeviceProof | undefined;
  readonly model: { readonly name: string; readonly version: string; readonly sha256: string };
  readonly templates: readonly { readonly id: string; readonly name: string }[];
}

export async function infoCommand(composition: Composition): Promise<Info> {
  const { model, executionProvider, providerReason, deviceProof } = await composition.network(DEFAULT_MODEL);
  const templates = await composition.templates.list();
  return {
    version: VERSION,
    executionProvider,
    providerReason,
    deviceProof,
    model: { name: model.name, version: model.version, sha256: model.sha256 },
    templates: templates.map(({ id, name }) => ({ id, name })),
  };
}

export function describeInfo(info: Info): string {
  return [
    `stain-normalization ${info.version}`,
    `device     ${info.executionProvider}${info.providerReason ? ` (${info.providerReason})` : ''}`,
    ...(info.deviceProof ? [`proof      ${describeProof(info.deviceProof)}`] : []),
    `model      ${info.model.name} ${info.model.version}, SHA-256 ${info.model.sha256}`,
    'templates',
    ...info.templates.map(({ id, name }) => `  ${id.padEnd(24)} ${name}`),
  ].join('\n');
}
