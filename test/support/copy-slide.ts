/** Copies of the project's sample slide under other UIDs, as many as a test needs. */
import { join } from 'node:path';
import { EncapsulatedInstance } from '../../server/src/derived/encapsulated-instance.ts';
import type { Attributes } from '../../server/src/dicom/dataset.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { testUid } from './make-slide.ts';
import { repository } from './peers.ts';
import { collect } from './storable.ts';

export interface CopiedSlide {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /** SOP Instance UID of its finest level. */
  readonly baseUid: string;
  /** Part 10 files, one per instance. */
  readonly files: readonly Buffer[];
}

/**
 * @param name determines the UIDs @param levels of scripts/sample, 0 is the base
 * @param attributes of a level, in place of those of the sample
 */
export async function copySample(
  name: string,
  levels: readonly number[],
  attributes: (level: number) => Attributes = () => ({}),
): Promise<CopiedSlide> {
  const [studyInstanceUid, seriesInstanceUid] = [testUid(`${name} study`), testUid(`${name} series`)];
  const files = levels.map(async (level) => {
    await using file = await openPart10(join(repository, `scripts/sample/level-${level}.dcm`));
    const lengths: number[] = [];
    for (let frame = 0; frame < file.numberOfFrames; frame++) lengths.push(await file.frameLength(frame));
    const copy = new EncapsulatedInstance({
      dataset: file.dataset.with({
        ...attributes(level),
        StudyInstanceUID: studyInstanceUid,
        SeriesInstanceUID: seriesInstanceUid,
        SOPInstanceUID: testUid(`${name} level ${level}`),
      }),
      transferSyntaxUid: file.transferSyntaxUid,
      spool: {
        frameCount: file.numberOfFrames,
        frameLength: (frame) => lengths[frame]!,
        async *frames() {
          for (let frame = 0; frame < file.numberOfFrames; frame++) yield file.frame(frame);
        },
      },
    });
    return await collect(copy.stream());
  });
  const baseUid = testUid(`${name} level ${Math.min(...levels)}`);
  return { studyInstanceUid, seriesInstanceUid, baseUid, files: await Promise.all(files) };
}
