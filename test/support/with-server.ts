/** Our client, and an archive that responds as the test says. */
import {
  createDicomWebClient,
  type DicomWebClient,
  type DicomWebClientOptions,
} from '../../server/src/dicomweb/client.ts';
import { type FaultServer, type Handler, startFaultServer } from './fault-server.ts';

export async function withServer(
  handle: Handler,
  test: (client: DicomWebClient, server: FaultServer) => Promise<void>,
  options: Partial<DicomWebClientOptions> = {},
): Promise<void> {
  await using server = await startFaultServer(handle);
  const client = createDicomWebClient({
    url: server.url,
    timeoutMs: 2000,
    retryDelayMs: 1,
    verifyDelaysMs: [0, 1, 1],
    ...options,
  });
  try {
    await test(client, server);
  } finally {
    await client.close();
  }
}

export function parametersOf(url: string | undefined): URLSearchParams {
  return new URL(url!, 'http://archive').searchParams;
}
