/** Follows a job by server-sent events, over fetch because an EventSource cannot send an Authorization header. */
import { createParser } from 'eventsource-parser';
import type { Job } from '../../../core/src/contract/index.ts';
import { isFinal } from '../../../core/src/contract/job-state.ts';
import { pause } from '../pause.ts';
import { PluginError, ServiceError } from '../plugin-error.ts';
import type { ServiceClient } from './service-client.ts';

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 15_000;

export interface FollowOptions {
  readonly signal: AbortSignal;
  onJob(job: Job): void;
  /** False when the connection breaks, true when it is restored. */
  onConnection(isLive: boolean): void;
}

/** Resolves when the job has ended. Reconnects for as long as it takes. */
export async function followJob(
  client: ServiceClient,
  id: string,
  { signal, onJob, onConnection }: FollowOptions,
): Promise<void> {
  let known: string | undefined;
  let ended = false;
  let wait = FIRST_PAUSE_MS;
  while (!ended && !signal.aborted) {
    try {
      const response = await client.request(`/api/normalizations/${id}/events`, {
        signal,
        headers: { Accept: 'text/event-stream', ...(known ? { 'Last-Event-ID': known } : {}) },
      });
      // "No Content": there is nothing more to report.
      if (response.status === 204) return;
      onConnection(true);
      wait = FIRST_PAUSE_MS;
      const parser = createParser({
        onEvent({ id: revision, data }) {
          known = revision;
          const job = JSON.parse(data) as Job;
          ended = isFinal(job.state);
          onJob(job);
        },
      });
      const decoder = new TextDecoder();
      const reader = response.body!.getReader();
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read())
        parser.feed(decoder.decode(chunk.value, { stream: true }));
    } catch (error) {
      if (signal.aborted) return;
      if (!mayPass(error)) throw error;
    }
    if (ended) return;
    onConnection(false);
    await pause(wait, signal).catch(() => {}); // the loop ends by itself
    wait = Math.min(MAX_PAUSE_MS, wait * 2);
  }
}

/**
 * A broken stream is a TypeError of fetch. What a service refuses because of the request does not improve by asking again;
 * that it lacks its database for a moment, or has too many streams, does.
 */
function mayPass(error: unknown): boolean {
  if (error instanceof ServiceError) return error.status >= 500 || error.status === 429;
  return error instanceof TypeError || error instanceof PluginError;
}
