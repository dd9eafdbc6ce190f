/** The colour profile of the slide that is shown, which viewers apply unless somebody does not want it. */
import type { Comparison } from '../comparison/comparison.ts';
import { isProfile, profileName } from '../microscopy/colour-profile.ts';
import { mapOf, whenShown } from '../microscopy/open-layers.ts';
import type { ManagedViewer, VolumeImageViewer } from '../ohif/types.ts';
import type { SlideSeries } from '../state.ts';
import type { SessionContext } from './context.ts';

export class Profiles {
  readonly #context: SessionContext;
  readonly #comparison: () => Comparison | undefined;
  /** Viewers that show the colours as they are stored. */
  readonly #withoutProfile = new WeakSet<VolumeImageViewer>();
  #looking = new AbortController();
  #seen: { readonly series: string; readonly viewer: ManagedViewer | undefined } | undefined;

  /** @param comparison the one that is open now */
  constructor(context: SessionContext, comparison: () => Comparison | undefined) {
    this.#context = context;
    this.#comparison = comparison;
  }

  /** Takes note of the profile of a slide when its viewer has it. */
  look(series: SlideSeries | null): void {
    const { host, change } = this.#context;
    const viewer = series ? host.viewerNow(series) : undefined;
    if (this.#seen?.series === series?.seriesInstanceUid && this.#seen?.viewer === viewer) return;
    this.#seen = series ? { series: series.seriesInstanceUid, viewer } : undefined;
    this.#looking.abort();
    this.#looking = new AbortController();
    const { signal } = this.#looking;
    change({ profile: undefined });
    if (!series) return;
    const read = async (): Promise<void> => {
      const found = await host.viewerOf(series, signal);
      await whenShown(mapOf(found.viewer), signal);
      const [profile] = found.viewer.getICCProfiles();
      const isApplied = !this.#withoutProfile.has(found.viewer);
      if (!profile) change({ profile: null });
      else if (!isProfile(profile)) change({ profile: 'unreadable' });
      else change({ profile: { name: profileName(profile), isApplied } });
    };
    // A viewer of an unsupported version is reported elsewhere. Without its profile, the panel only says less.
    void read().catch(() => {});
  }

  /** On all sides of a comparison. */
  toggle(): void {
    const { state, host, change } = this.#context;
    const { profile, series } = state;
    const comparison = this.#comparison();
    const shown = comparison?.viewer ?? (series ? host.viewerNow(series) : undefined);
    if (!profile || profile === 'unreadable' || !shown) return;
    shown.viewer.toggleICCProfiles();
    comparison?.toggleOtherProfiles();
    const isApplied = !profile.isApplied;
    if (isApplied) this.#withoutProfile.delete(shown.viewer);
    else this.#withoutProfile.add(shown.viewer);
    change({ profile: { ...profile, isApplied } });
  }

  /** The other viewers of a comparison apply their profiles at first. */
  follow(comparison: Comparison): void {
    if (this.#withoutProfile.has(comparison.viewer.viewer)) comparison.toggleOtherProfiles();
  }

  close(): void {
    this.#looking.abort();
    this.#seen = undefined;
  }
}
