/** A client whose errors say which archive they are about, where there are several. */
import { StainError } from '../../../core/src/errors.ts';
import type { DicomWebClient } from './client.ts';

export function namedClient(client: DicomWebClient, name: string): DicomWebClient {
  const told = (thrown: unknown): unknown => {
    if (!(thrown instanceof StainError) || thrown.code === 'CANCELLED') return thrown;
    const { code, message, data, retry } = thrown;
    return new StainError(code, `${name}: ${message}`, {
      data: { ...data, archive: name },
      cause: thrown,
      retry,
    });
  };
  const asked = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      throw told(error);
    }
  };
  async function* read<T>(items: AsyncIterable<T>): AsyncGenerator<T, void> {
    try {
      yield* items;
    } catch (error) {
      throw told(error);
    }
  }
  return {
    searchStudies: (...query) => asked(client.searchStudies(...query)),
    searchSeries: (...query) => asked(client.searchSeries(...query)),
    searchInstances: (...query) => asked(client.searchInstances(...query)),
    seriesMetadata: (...series) => asked(client.seriesMetadata(...series)),
    retrieveHeader: (...instance) => asked(client.retrieveHeader(...instance)),
    retrieveInstance: (...instance) => read(client.retrieveInstance(...instance)),
    retrieveFrames: (...frames) => read(client.retrieveFrames(...frames)),
    storeInstance: (...instance) => asked(client.storeInstance(...instance)),
    verifyInstance: (...instance) => asked(client.verifyInstance(...instance)),
    known: () => client.known(),
    close: () => client.close(),
  };
}
