/**
 * Makes the headers of a derived series, one image at a time, only from what determines them, whether or not frames are
 * made.
 */

import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import { srgbProfile } from '../codec/icc.ts';
import { type DerivationRecord, deriveLevel } from '../derived/derived-series.ts';
import { derivedUids } from '../derived/derived-uids.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { inputDeviceProfile } from '../dicom/icc-class.ts';
import type { Slide } from '../slide/types.ts';
import { ratioOf } from './lossy-ratio.ts';
import type { Means } from './means.ts';
import type { PreparedSeries } from './prepare-series.ts';
import type { SeriesIdentity } from './series-identity.ts';
import { type Fingerprint, seriesContent } from './series-identity.ts';
import { storedRecordOf } from './stored-derivations.ts';

/**
 * Header of one image. `image` is its index in `images` of the prepared series; `encodedBytes` the size of its frames
 * if it is built.
 */
export type DeriveHeader = (image: number, encodedBytes?: number) => DataSet;

/** The series whose headers are made. */
export interface DerivedWork {
  readonly means: Means;
  readonly request: NormalizationRequest;
  readonly identity: SeriesIdentity;
  readonly fingerprint: Fingerprint;
}

export async function derivedHeaders(
  { open, images, facts, built, override, notes }: PreparedSeries,
  { request, identity, fingerprint, means: { template, network } }: DerivedWork,
  softwareVersions: readonly string[],
): Promise<DeriveHeader> {
  const { slide, colour } = open;
  const base = images[0]!;
  const uids = derivedUids(identity);
  const derivation: DerivationRecord = {
    identity,
    model: network.model,
    template,
    slide: fingerprint.slideUid && nameOf(slide),
    override,
    source: facts.fit.classes,
    transfer: request.transfer,
    encoding: request.encoding,
    quality: request.quality,
    executionProvider: facts.executionProvider,
    colourPolicy: colour.policy,
    softwareVersions,
    deviceSerialNumber: facts.deviceSerialNumber,
    seriesNumber: facts.seriesNumber,
    iccProfile: inputDeviceProfile(await srgbProfile()),
    fullRecord: {
      ...storedRecordOf({ ...seriesContent(request, fingerprint), identity, facts }),
      // Sorted, so that it does not matter where the request was kept.
      request: sorted({ ...request, ...fingerprint }),
      notes,
    },
  };
  return (image, encodedBytes) => {
    const level = images[image]!;
    const isBuilt = built.has(level);
    const exact = encodedBytes === undefined ? undefined : ratioOf(level, encodedBytes);
    return deriveLevel({
      level,
      ...(isBuilt && { builtFrom: base }),
      derivation,
      instanceNumber: image + 1,
      sopInstanceUid: uids.instance(sourceImageOf(level)),
      lossyRatio: request.encoding === 'jpeg' ? (!isBuilt && facts.lossyRatios?.[image]) || exact : undefined,
      sourceIsLossy: open.isLossy(isBuilt ? base : level),
    });
  };
}

/** The properties of a slide that determine the UIDs of its derived images. */
export interface SourceImages {
  readonly studyInstanceUid: string;
  readonly levels: readonly SourceImage[];
}

interface SourceImage {
  readonly instances: readonly { readonly sopInstanceUid: string }[];
}

/** SOP Instance UID of the source image from which the UID of the derived one follows. */
export function sourceImageOf({ instances }: SourceImage): string {
  return instances[0]!.sopInstanceUid;
}

/** For readers: tells the derived series of this slide from those of the other slides in the series. */
export function nameOf({ levels }: Slide): string {
  const { dataset, sopInstanceUid } = levels[0]!.instances[0]!;
  return dataset.string('ContainerIdentifier')?.trim() || sopInstanceUid;
}

function sorted(record: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
