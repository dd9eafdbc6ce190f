/** Everything a normalisation needs; created once by the composition root and shared by all normalisations. */
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { DerivationRecords } from './derivations.ts';
import type { SeriesAccess } from './inspect-series.ts';
import type { TemplateStore } from './template-store.ts';

export interface NormalizationEnvironment extends SeriesAccess {
  readonly destination: DicomWebClient;
  readonly network: (model: string) => Promise<StainNetwork>;
  readonly template: TemplateStore['version'];
  readonly derivations: DerivationRecords;
  /** Seconds of work that a crash may lose. */
  readonly checkpointSeconds: number;
  /** Number of frames encoded at once. */
  readonly encodeConcurrency: number;
  /** Names and versions of the application, runtime and encoder, for Software Versions (0018,1020). */
  readonly softwareVersions: readonly string[];
  readonly deviceSerialNumber: string;
}
