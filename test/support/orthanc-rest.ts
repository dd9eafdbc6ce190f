/** Orthanc's own REST API: what an administrator does to patients and studies behind the product's back. */
import type { RunningOrthanc } from './orthanc.ts';

export class OrthancRest {
  readonly #root: string;

  constructor({ url }: RunningOrthanc) {
    this.#root = url.replace('/dicom-web', '');
  }

  async put(files: readonly Uint8Array[]): Promise<void> {
    for (const file of files) await this.#post('/instances', new Uint8Array(file));
  }

  /** Modifies a patient, a study or a series in place of the original. @param id its identifier in DICOM */
  async modify(level: 'patients' | 'studies' | 'series', id: string, change: object): Promise<void> {
    const found = (await (await this.#post('/tools/lookup', id)).json()) as { ID: string }[];
    await this.#post(
      `/${level}/${found[0]!.ID}/modify`,
      JSON.stringify({ Force: true, KeepSource: false, ...change }),
    );
  }

  async #post(path: string, body: string | Uint8Array<ArrayBuffer>): Promise<Response> {
    const answer = await fetch(this.#root + path, { method: 'POST', body });
    if (!answer.ok) throw new Error(`${answer.status} for ${path}: ${await answer.text()}`);
    return answer;
  }
}
