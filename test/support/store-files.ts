/** Files for a DICOMweb archive as a plain client sends them: one STOW request, with nothing of the product. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** @param url root of the DICOMweb service @param headers besides that of the type, such as Authorization */
export async function storeFiles(
  url: string,
  files: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  // Long enough to be in no file: a short one is, and Orthanc then finds no instance.
  const boundary = randomUUID();
  const parts = await Promise.all(
    files.map(async (file) => [
      Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`),
      await readFile(file),
      Buffer.from('\r\n'),
    ]),
  );
  return fetch(`${url}/studies`, {
    method: 'POST',
    headers: {
      ...headers,
      'Content-Type': `multipart/related; type="application/dicom"; boundary=${boundary}`,
    },
    body: Buffer.concat([...parts.flat(), Buffer.from(`--${boundary}--\r\n`)]),
  });
}
