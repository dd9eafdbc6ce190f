/**
 * Gives the focus to what asks something (the attribute data-asks), of which screen readers tell then, and keeps it in the
 * panel when what has it is taken away or disabled: people without a mouse would begin anew.
 */
export class FocusKeeper {
  readonly #root: () => ShadowRoot | null;
  #focused: Element | null = null;
  #asking: HTMLElement | null = null;
  /** Where it is among the cards. */
  #card = -1;

  constructor(root: () => ShadowRoot | null) {
    this.#root = root;
  }

  beforeUpdate(): void {
    this.#focused = this.#root()?.activeElement ?? null;
    this.#card = this.#cards().findIndex((card) => card.contains(this.#focused));
  }

  afterUpdate(): void {
    const asking = this.#root()?.querySelector<HTMLElement>('[data-asks]') ?? null;
    if (asking && asking !== this.#asking) asking.focus();
    else this.#keep();
    this.#asking = asking;
  }

  /** The card and not another button of it: the next press of a key is not to do something else. */
  #keep(): void {
    const focused = this.#focused;
    if (!focused || (focused.isConnected && !focused.matches(':disabled'))) return;
    const now = this.#root()?.activeElement;
    if (now && now !== focused) return;
    const cards = this.#cards();
    const card = cards[Math.min(Math.max(0, this.#card), cards.length - 1)];
    if (!card) return;
    card.tabIndex = -1;
    card.focus({ preventScroll: true });
  }

  #cards(): HTMLElement[] {
    return [...(this.#root()?.querySelectorAll('section') ?? [])];
  }
}
