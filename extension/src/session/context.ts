/** What the parts of a session share: the state, and ways to do things that may fail. */
import type { ViewerHost } from '../ohif/viewer-host.ts';
import type { ServiceClient } from '../service/service-client.ts';
import type { PluginState } from '../state.ts';

export interface SessionContext {
  readonly host: ViewerHost;
  readonly client: ServiceClient;
  readonly state: PluginState;
  /** In the same turn the labels and all who have subscribed follow. */
  change(change: Partial<PluginState>): void;
  /** Does what somebody asked for: what went wrong before is no longer what they look at. */
  act(work: (signal: AbortSignal) => Promise<void>): Promise<void>;
  /** What goes wrong is shown, unless nobody waits for it any more. @param signal by default it ends with the mode */
  attempt(work: (signal: AbortSignal) => Promise<void>, signal?: AbortSignal): Promise<void>;
}
