/** Reads server-sent events like a browser, as far as we use them. */
import type { Job } from '../../core/src/contract/index.ts';

/** @param raw receives the text as it arrives */
export async function* readEvents(
  response: Response,
  raw: string[] = [],
): AsyncGenerator<{ id: string; job: Job }> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    raw.push(chunk);
    const blocks = (text + chunk).split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) {
      const fields = new Map(
        block
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      );
      if (fields.get('event') === 'job')
        yield { id: fields.get('id')!, job: JSON.parse(fields.get('data')!) };
    }
  }
}
