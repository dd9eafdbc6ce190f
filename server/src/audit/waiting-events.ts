/**
 * The queue for one way of the audit trail. It is bounded: events beyond the limit are lost, counted, and reported when
 * there is room.
 */

/** How many events were lost, and when. */
export interface Loss {
  readonly count: number;
  /** Times of the first and the last lost event (ISO 8601). */
  readonly from: string;
  readonly to: string;
}

export interface WaitingEventsOptions<Item> {
  readonly max: number;
  /** Called when an event is lost. @param isFirst the first since there was room */
  onLost(isFirst: boolean): void;
  /** The event that reports a loss. */
  tell(loss: Loss): Item;
}

export class WaitingEvents<Item> {
  readonly #options: WaitingEventsOptions<Item>;
  readonly #items: { readonly item: Item; readonly since: number }[] = [];
  #loss: Loss | undefined;

  constructor(options: WaitingEventsOptions<Item>) {
    this.#options = options;
  }

  get length(): number {
    return this.#items.length;
  }

  /** How long the oldest event has been waiting. */
  get waitsMs(): number {
    const [oldest] = this.#items;
    return oldest ? performance.now() - oldest.since : 0;
  }

  /** Events were lost, and there has been no room to report that yet. */
  get hasLost(): boolean {
    return this.#loss !== undefined;
  }

  add(item: Item): void {
    if (this.#items.length >= this.#options.max) this.lose(1);
    else {
      this.#tell();
      this.#push(item);
    }
  }

  /** Counts events that will never be written. */
  lose(count: number): void {
    const now = new Date().toISOString();
    for (let i = 0; i < count; i++) {
      const { count: before, from } = this.#loss ?? { count: 0, from: now };
      this.#loss = { count: before + 1, from, to: now };
      this.#options.onLost(before === 0);
    }
  }

  first(count: number): Item[] {
    return this.#items.slice(0, count).map(({ item }) => item);
  }

  /** Removes the first events, which have been sent. */
  drop(count: number): void {
    this.#items.splice(0, count);
    if (this.#items.length === 0) this.#tell();
  }

  #tell(): void {
    const loss = this.#loss;
    if (!loss) return;
    this.#loss = undefined;
    this.#push(this.#options.tell(loss));
  }

  #push(item: Item): void {
    this.#items.push({ item, since: performance.now() });
  }
}
