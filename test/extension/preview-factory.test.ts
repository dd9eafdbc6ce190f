/** The network of the previews is loaded once for all, and again after a fault; and how a preview starts. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PluginError, ServiceError } from '../../extension/src/plugin-error.ts';
import type { WorkerAnswer, WorkerRequest } from '../../extension/src/preview/messages.ts';
import { PreviewFactory, type PreviewOptions } from '../../extension/src/preview-factory.ts';
import type { ServiceClient } from '../../extension/src/service/service-client.ts';
import { fakeOhif, SOURCE, slide, viewerOf } from './fake-ohif.ts';

const opened: WorkerAnswer = { kind: 'opened', executionProvider: 'wasm' };
const refused = new ServiceError(409, { code: 'NOT_HE', message: 'Not that stain.', remedy: 'None.' });

/** Workers of the page. They give the answer of `answer` at once. */
let workers: { asked: WorkerRequest[]; isEnded: boolean; fail(message: string): void }[];
let answer: (request: WorkerRequest) => WorkerAnswer | undefined;
let client: Record<'model' | 'bytes', ReturnType<typeof vi.fn>>;
let factory: PreviewFactory;
let frames: ReturnType<typeof vi.fn>;

beforeEach(() => {
  workers = [];
  answer = ({ kind }) => (kind === 'open' ? opened : { kind: 'failed', message: `no ${kind}` });
  class FakeWorker {
    readonly asked: WorkerRequest[] = [];
    isEnded = false;
    #say = (_: WorkerAnswer): void => {};
    fail: (message: string) => void = () => {};
    constructor() {
      workers.push(this);
    }
    addEventListener(type: string, listener: (event: object) => void): void {
      if (type === 'message') this.#say = (data) => listener({ data });
      else this.fail = (message) => listener({ message });
    }
    postMessage(request: WorkerRequest): void {
      this.asked.push(request);
      const said = answer(request);
      if (said) queueMicrotask(() => this.#say(said));
    }
    terminate(): void {
      this.isEnded = true;
    }
  }
  vi.stubGlobal('Worker', FakeWorker);
  client = {
    model: vi.fn(async () => ({ alignment: 4, graphs: { apply: { url: 'a' }, statistics: { url: 's' } } })),
    bytes: vi.fn(async () => new Uint8Array(8)),
  };
  const ohif = fakeOhif();
  frames = vi.fn(async () => [new ArrayBuffer(8)]);
  vi.spyOn(ohif.host, 'wadoClient').mockImplementation(
    () =>
      ({
        retrieveInstanceFrames: frames,
        retrieveSeriesMetadata: async () => [],
      }) as unknown as ReturnType<typeof ohif.host.wadoClient>,
  );
  factory = new PreviewFactory({
    host: ohif.host,
    client: client as unknown as ServiceClient,
    model: 'fast',
    plugins: 'http://viewer.example/stain/',
  });
});
afterEach(() => {
  factory.close();
  vi.unstubAllGlobals();
});

/** A preview that ends after the stain, without the network: drawing is tested elsewhere. */
function preview(more: Partial<PreviewOptions> = {}, kind: 'start' | 'mapSlide' = 'start'): Promise<unknown> {
  const [series] = fakeOhif(slide(SOURCE)).host.allSeries();
  return factory[kind]({
    series: series!,
    instances: [
      {
        ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'],
        SOPInstanceUID: '1.2.1.1',
        ...{ TotalPixelMatrixColumns: 1024, TotalPixelMatrixRows: 1024, Columns: 512, Rows: 512 },
        NumberOfFrames: 4,
      },
    ],
    viewer: viewerOf(SOURCE),
    stain: () => Promise.reject(refused),
    signal: new AbortController().signal,
    onStatus() {},
    onError() {},
    ...more,
  } as Parameters<PreviewFactory['start']>[0]).then(
    () => undefined,
    (error) => error,
  );
}

test('two previews share one worker and one network, and report its device', async () => {
  const onStatus = vi.fn();
  expect(await Promise.all([preview({ onStatus }), preview()])).toEqual([refused, refused]);
  await preview();
  expect(client.model).toHaveBeenCalledOnce();
  expect(workers.map(({ asked }) => asked.map(({ kind }) => kind))).toEqual([['open']]);
  expect(onStatus).toHaveBeenCalledWith({ executionProvider: 'wasm' });
});

test('a network that could not be fetched is fetched by the next preview', async () => {
  client.model.mockRejectedValueOnce(new PluginError('SERVICE_AWAY'));
  expect(await preview()).toMatchObject({ user: { code: 'SERVICE_AWAY' } });
  expect(await preview()).toBe(refused);
});

test('a network that the worker cannot open is reported with the reason, and tried again', async () => {
  answer = () => ({ kind: 'failed', message: 'no WebAssembly' });
  expect(await preview()).toMatchObject({ user: { code: 'PREVIEW_FAILED', reason: 'no WebAssembly' } });
  answer = () => opened;
  expect(await preview()).toBe(refused);
});

test('aborting one preview does not stop loading the network for others', async () => {
  const model = Promise.withResolvers<object>();
  client.model.mockReturnValueOnce(model.promise);
  const givenUp = new AbortController();
  const [first, second] = [preview({ signal: givenUp.signal }), preview()];
  givenUp.abort(new Error('moved on'));
  expect(await first).toMatchObject({ message: 'moved on' });
  model.resolve({ alignment: 4, graphs: { apply: { url: 'a' }, statistics: { url: 's' } } });
  expect(await second).toBe(refused);
  expect(client.model).toHaveBeenCalledOnce();
});

test('a worker that crashed is replaced by another with its own network', async () => {
  await preview();
  workers[0]!.fail('out of memory');
  expect(await preview()).toBe(refused);
  expect(workers.map(({ asked, isEnded }) => [asked.length, isEnded])).toEqual([
    [1, true],
    [1, false],
  ]);
});

test('closing ends its worker; a preview after that starts again', async () => {
  await preview();
  factory.close();
  expect(workers.map(({ isEnded }) => isEnded)).toEqual([true]);
  expect(await preview()).toBe(refused);
  expect(workers).toHaveLength(2);
});

test('the linear transfer loads the network only to fit the stain where the service is unreachable', async () => {
  expect(await preview({}, 'mapSlide')).toBe(refused);
  // A worker may wait for what is to be asked; it has loaded nothing of the network.
  expect([workers.flatMap(({ asked }) => asked), client.model.mock.calls]).toEqual([[], []]);
  const stain = () => Promise.reject(new PluginError('SERVICE_AWAY'));
  expect(await preview({ stain }, 'mapSlide')).toMatchObject({ message: 'no fit' });
  expect(workers[0]!.asked.map(({ kind }) => kind)).toEqual(['open', 'fit']);
});

test('if the service is unreachable, the stain is fitted on the middle of the slide', async () => {
  const stain = () => Promise.reject(new PluginError('SERVICE_AWAY'));
  expect(await preview({ stain })).toMatchObject({ message: 'no fit' });
  const [, fit] = workers[0]!.asked;
  expect(fit).toMatchObject({ kind: 'fit', window: { x: 256, y: 256, width: 512, height: 512 } });
  expect(frames.mock.calls.map(([{ frameNumbers }]) => frameNumbers)).toEqual([[1], [2], [3], [4]]);
});
