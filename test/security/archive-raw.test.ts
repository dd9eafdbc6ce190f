/** Hostile request lines over raw sockets through the real proxy: what reaches an archive behind it. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { startFaultServer } from '../support/fault-server.ts';
import { runs } from '../support/property-runs.ts';
import { sendRaw } from '../support/raw-connection.ts';
import { startArchiveService } from './archive-service.ts';

const UID = String.raw`\d+(\.\d+)*`;
/** Below the root, and only DICOMweb. In a query what RFC 3986 allows there (query-text.ts). */
const DICOMWEB = new RegExp(
  `^(GET|HEAD|POST) /dicom-web/(studies|series|instances)(/${UID}(/(series|instances|metadata|rendered|thumbnail|frames)(/[\\d.,]+)?)*)?(\\?[\\w.%=&*'()!~,/:?@$-]*)?$`,
);

const SEEDS = [
  '/dicom-web/studies',
  '/dicom-web/studies?limit=10&PatientName=A*',
  '/dicom-web/studies/1.2.3/series/1.3/instances',
  '/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/1,2',
];
// biome-ignore format: a list
const PIECES = [
  '#', '?', ';', '%', '\\', '..', '/../', '%2e%2e', '%252e', '%2f', '%5c', '%00', '%0d%0a', '\t', '\u00fc', '\u2024', '//',
  'http://127.0.0.1:1', '@evil', '/system', '/tools/bulk-delete', '/servers', '/metadata', ',', '1', '&', '=', '__proto__',
];
const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE'];
const HOSTS = ['127.0.0.1', 'evil;proto=https', 'a,b', '[::1', 'evil#', 'x"y'];

it('of hundreds of raw requests the archive sees only DICOMweb addresses below its root', async () => {
  const forwarded: (string | undefined)[] = [];
  await using archive = await startFaultServer((request, response) => {
    forwarded.push(request.headers.forwarded);
    request.resume();
    response.writeHead(200, { 'Content-Type': 'application/dicom+json' }).end('[]');
  });
  await using service = await startArchiveService(archive.url);
  const ask = async (method: string, target: string, host: string): Promise<void> => {
    const head = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'Content-Length: 0', 'Connection: close'];
    await sendRaw(service.url, head);
  };
  const target = fc
    .tuple(
      fc.constantFrom(...SEEDS),
      fc.array(fc.tuple(fc.nat(100), fc.constantFrom(...PIECES)), { maxLength: 3 }),
    )
    .map(([seed, cuts]) =>
      cuts.reduce((text, [at, piece]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + piece + text.slice(place);
      }, seed),
    );
  await fc.assert(fc.asyncProperty(fc.constantFrom(...METHODS), target, fc.constantFrom(...HOSTS), ask), {
    numRuns: runs(600),
  });
  expect(archive.requests.filter((line) => !DICOMWEB.test(line))).toEqual([]);
  // The property is only meaningful if some requests pass.
  expect(archive.requests.length).toBeGreaterThan(20);
  expect(new Set(forwarded)).toEqual(new Set([undefined, 'host=127.0.0.1;proto=http']));
});
