/** As much of a page as the plugin builds on a slide: a tree of elements with style and text, without layout. */
export class FakeElement {
  readonly style: Record<string, unknown> = { setProperty: () => {} };
  readonly dataset: Record<string, string> = {};
  className = '';
  textContent = '';
  parentElement: FakeElement | null = null;
  children: FakeElement[] = [];

  get firstElementChild(): FakeElement | undefined {
    return this.children[0];
  }

  get isConnected(): boolean {
    return this.className === 'page' || (this.parentElement?.isConnected ?? false);
  }

  append(...children: FakeElement[]): void {
    for (const child of children) child.parentElement = this;
    this.children.push(...children);
  }

  replaceChildren(...children: FakeElement[]): void {
    this.children = [];
    this.append(...children);
  }

  remove(): void {
    const siblings = this.parentElement?.children;
    siblings?.splice(siblings.indexOf(this), 1);
    this.parentElement = null;
  }

  querySelector(): null {
    return null;
  }

  matches(selector: string): boolean {
    return selector.split(', ').includes(this.className);
  }

  setAttribute(): void {}
  addEventListener(): void {}

  /** All elements within, depth first. */
  get all(): FakeElement[] {
    return this.children.flatMap((child) => [child, ...child.all]);
  }

  /** Of all elements within. */
  get text(): string {
    return this.all.map(({ textContent }) => textContent).join(' ');
  }
}

class FakeWindow extends EventTarget {
  override removeEventListener(type: string, listener: EventListener, isCapturing = false): void {
    // Unlike browsers, Node 24 does not accept a boolean for the options here.
    super.removeEventListener(type, listener, { capture: isCapturing });
  }
}

/** For `vi.stubGlobal`. */
export function fakePage(): { page: FakeElement; globals: Record<string, unknown>; window: EventTarget } {
  const page = new FakeElement();
  page.className = 'page';
  const window = new FakeWindow();
  return {
    page,
    window,
    globals: { window, HTMLElement: FakeElement, document: { createElement: () => new FakeElement() } },
  };
}
