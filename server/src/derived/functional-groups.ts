/** Shared and per-frame functional groups of the derived image (PS3.3 C.7.6.16). */
import { type Attributes, DataSet, type Items } from '../dicom/dataset.ts';
import { joinItems, mapItems } from '../dicom/items.ts';
import { withDerivedIdentifiers } from './optical-path.ts';

const POSITION = 'PlanePositionSlideSequence';
const FRAME_TYPE = 'WholeSlideMicroscopyImageFrameTypeSequence';

/**
 * Frames keep their number, order and positions. Frame Type stays where the source has it; the derivation is the same
 * for all frames and therefore shared.
 * @param sources headers of the level's instances, in order: several for a concatenation
 */
export function derivedFunctionalGroups(
  sources: readonly DataSet[],
  imageType: readonly string[],
  derivationImage: DataSet,
  series: { readonly seriesUuid: string },
): Attributes {
  const perFrame = joinItems(sources.map((source) => framesOf(source, sources.length)));
  const ofAll = sources[0]!.items('SharedFunctionalGroupsSequence')[0] ?? new DataSet();
  const shared = isSome(perFrame, (frame) => frame.has(POSITION)) ? ofAll.without(POSITION) : ofAll;
  const frameType = [DataSet.of({ FrameType: imageType })];
  const typePerFrame = isSome(perFrame, (frame) => frame.has(FRAME_TYPE));
  const derivedShared = withDerivedIdentifiers(shared, series).with({
    DerivationImageSequence: [derivationImage],
  });
  return {
    SharedFunctionalGroupsSequence: [
      typePerFrame ? derivedShared : derivedShared.with({ [FRAME_TYPE]: frameType }),
    ],
    ...(perFrame.length > 0 && {
      PerFrameFunctionalGroupsSequence: mapItems(perFrame, (frame) => {
        const renamed = withDerivedIdentifiers(frame, series);
        // A functional group is either shared or per-frame, never both.
        const single = renamed.has('DerivationImageSequence')
          ? renamed.without('DerivationImageSequence')
          : renamed;
        return single.has(FRAME_TYPE) ? single.with({ [FRAME_TYPE]: frameType }) : single;
      }),
    }),
  };
}

/** Per-frame groups of an instance. In an instance of a single frame its position may be in the shared ones. */
function framesOf(source: DataSet, parts: number): Items {
  const frames = source.sequence('PerFrameFunctionalGroupsSequence');
  if (frames.length > 0 || parts === 1) return frames;
  const position = source.items('SharedFunctionalGroupsSequence')[0]?.items(POSITION) ?? [];
  return position.length > 0 ? [DataSet.of({ [POSITION]: position })] : [];
}

function isSome(items: Items, is: (item: DataSet) => boolean): boolean {
  for (const item of items) if (is(item)) return true;
  return false;
}
