/** What the address says is shown, and what is shown is in the address. */
import { untilCalled } from '../../../core/src/abortable.ts';
import { AddressKeeper, viewerPlaceOf } from '../address/address-keeper.ts';
import { isOn, type Link, type LinkPart, type ReadLink } from '../address/link.ts';
import { mapOf } from '../microscopy/open-layers.ts';
import { goTo } from '../microscopy/place.ts';
import type { PluginModel, SlideSeries } from '../state.ts';
import { translate } from '../strings/translate.ts';
import type { SessionContext } from './context.ts';
import { inTime } from './in-time.ts';

type Shown = Pick<PluginModel, 'state' | 'subscribe' | 'compare' | 'preview'>;

export class Links {
  readonly #context: SessionContext;
  readonly #shown: Shown;
  readonly #keepChoice: () => void;
  /** Once what the address asked for at first is shown. */
  #address: AddressKeeper | undefined;

  /** @param keepChoice template and transfer are somebody's choice from now on */
  constructor(context: SessionContext, shown: Shown, keepChoice: () => void) {
    this.#context = context;
    this.#shown = shown;
    this.#keepChoice = keepChoice;
  }

  /** Shows what the address says, as far as it can be shown, and tells what cannot; from then on the address follows. */
  async open({ link, faults }: ReadLink, modeSignal: AbortSignal): Promise<void> {
    const lost = new Set(faults);
    await this.#context.attempt(async () => {
      const { host } = this.#context;
      // A study may have none.
      const shown = await this.#until(() => host.activeSeries() ?? undefined, modeSignal);
      await inTime(modeSignal, async (signal) => {
        const find = async (uid: string | null | undefined, part: LinkPart): Promise<SlideSeries | null> => {
          if (!uid) return null;
          if (await host.isInStudy(shown.studyInstanceUid, uid))
            return this.#until(
              () => host.allSeries().find(({ seriesInstanceUid }) => seriesInstanceUid === uid),
              signal,
            );
          lost.add(part);
          return null;
        };
        const result = await find(link.result, 'result');
        const source = result && (await find(result.derived?.sourceSeriesInstanceUid, 'result'));
        const against = result && (await find(link.against, 'against'));
        const others: SlideSeries[] = [];
        for (const uid of (source && link.others) ?? []) {
          const other = await find(uid, 'others');
          if (uid !== link.result && other?.derived?.sourceSeriesInstanceUid === source?.seriesInstanceUid)
            others.push(other!);
          else lost.add('others');
        }
        const isAlone = link.mode === 'two-by-two' && others.length === 0;
        if (source && isAlone) lost.add('others');
        const isCompared = link.result !== null || (link.mode !== null && link.mode !== 'preview');
        if (isCompared && !source) lost.add('result');
        if (link.template !== null && !(await this.#chooseLinked(link, signal)) && !source)
          lost.add('template');
        const series = source ?? (await find(link.series, 'series')) ?? shown;
        if (series.seriesInstanceUid !== host.activeSeries()?.seriesInstanceUid) {
          await host.untilOpened(signal);
          host.show(series);
        }
        const isOther = lost.has('series') || lost.has('result');
        if (link.place && !isOther && isOn(link.place, series)) {
          const { viewer } = await host.viewerOf(series, signal);
          await goTo(mapOf(viewer), viewerPlaceOf(link.place), signal);
        } else if (link.place) lost.add('place');
        if (result && source)
          this.#shown.compare(
            link.mode === null || link.mode === 'preview' || isAlone ? 'side-by-side' : link.mode,
            result.seriesInstanceUid,
            against?.seriesInstanceUid,
            others.map(({ seriesInstanceUid }) => seriesInstanceUid),
          );
        else if (link.mode === 'preview' && !lost.has('template'))
          this.#shown.preview(link.previewed ?? undefined);
      });
    });
    if (modeSignal.aborted) return;
    if (lost.size > 0) {
      const parts = [...lost].map((part) => translate(`link.${part}`)).join(', ');
      this.#context.host.notify(translate('link.title'), translate('link.lost', { parts }), 'warning');
    }
    this.#address = new AddressKeeper(this.#shown, this.#context.host, modeSignal);
  }

  /** Answers false where the template of a link cannot be chosen any more. */
  async #chooseLinked({ template, transfer }: Link, signal: AbortSignal): Promise<boolean> {
    const templates = await this.#until(() => {
      const { state } = this.#context.state.templates;
      return state === 'ready' || state === 'failed' ? this.#context.state.templates : undefined;
    }, signal);
    this.#keepChoice();
    if (transfer) this.#context.change({ transfer });
    if (templates.state !== 'ready') return true; // said in the panel
    const isThere = templates.value.some(({ id, usable }) => usable && id === template);
    if (isThere) this.#context.change({ template });
    return isThere;
  }

  /** What is looked for, when the state brings it. @throws the signal's reason */
  async #until<T>(find: () => T | undefined, signal: AbortSignal): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await untilCalled((changed) => this.#shown.subscribe(changed), signal);
    }
  }

  /** Copies the link to the clipboard. If the browser refuses, the state offers the link as text. */
  copy(): void {
    void this.#context.act(async () => {
      const link = this.#address?.url();
      if (link === undefined) return;
      try {
        await navigator.clipboard.writeText(link);
        this.#context.change({ linkToCopy: null });
        this.#context.host.notify(translate('link.title'), translate('link.copied'), 'success');
      } catch {
        // Browsers give the clipboard to pages of their own host and over TLS, and may ask first.
        this.#context.change({ linkToCopy: link });
      }
    });
  }

  close(): void {
    this.#address = undefined;
  }
}
