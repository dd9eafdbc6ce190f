import type { DataSet } from '../dicom/dataset.ts';
import type { DicomJson } from '../dicom/json-model.ts';
import { dicomJsonPieces } from '../dicom/to-json.ts';

/** The text of a search result with what else of its header is wanted, in pieces of some kilobytes where a sequence is long. */
export function* searchResultPieces(
  result: DicomJson,
  header: DataSet,
  wanted: 'all' | ReadonlySet<string>,
): Generator<string> {
  const more = header.filter(({ tag }) => !(tag in result) && (wanted === 'all' || wanted.has(tag)));
  let before = JSON.stringify(result).slice(0, -1);
  for (const piece of dicomJsonPieces(more)) {
    if (before === '') yield piece;
    else if (piece === '{}') yield `${before}}`;
    else yield `${before}${before === '{' ? '' : ','}${piece.slice(1)}`;
    before = '';
  }
}
