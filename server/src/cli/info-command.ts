/** `info`: the version and contents of this installation. */

import { DEFAULT_ARCHIVE } from '../../../core/src/contract/default-archive.ts';
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import type { Config } from '../config.ts';
import { type DeviceProof, describeProof } from '../inference/device-proof.ts';
import { type Composition, VERSION } from '../wiring/composition.ts';

export interface ArchiveLine {
  readonly name: string;
  /** Without credentials. */
  readonly place: string;
  readonly isReadOnly: boolean;
}

export interface Info {
  readonly version: string;
  readonly executionProvider: string;
  readonly providerReason: string | undefined;
  readonly deviceProof: DeviceProof | undefined;
  readonly model: { readonly name: string; readonly version: string; readonly sha256: string };
  /** The default one first. */
  readonly archives: readonly ArchiveLine[];
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
    archives: archivesOf(composition.config),
    templates: templates.map(({ id, name }) => ({ id, name })),
  };
}

function archivesOf({ dicomweb, archive, archives }: Config): ArchiveLine[] {
  const of = (url: string): string => new URL(url).origin + new URL(url).pathname;
  return [
    { name: DEFAULT_ARCHIVE, place: dicomweb.url ? of(dicomweb.url) : archive.folder, isReadOnly: false },
    ...Object.entries(archives).map(([name, { url, isReadOnly }]) => ({ name, place: of(url), isReadOnly })),
  ];
}

export function describeInfo(info: Info): string {
  return [
    `stain-normalization ${info.version}`,
    `device     ${info.executionProvider}${info.providerReason ? ` (${info.providerReason})` : ''}`,
    ...(info.deviceProof ? [`proof      ${describeProof(info.deviceProof)}`] : []),
    `model      ${info.model.name} ${info.model.version}, SHA-256 ${info.model.sha256}`,
    'archives',
    ...info.archives.map(
      ({ name, place, isReadOnly }) => `  ${name.padEnd(24)} ${place}${isReadOnly ? ' (read-only)' : ''}`,
    ),
    'templates',
    ...info.templates.map(({ id, name }) => `  ${id.padEnd(24)} ${name}`),
  ].join('\n');
}
