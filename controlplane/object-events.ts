import { type KubeObject } from '../lib/kubernetes/kube-client.ts';

/** What an Event is about: an object as it was read, or as much of it as is known. */
export type EventTarget = KubeObject & { readonly apiVersion: string; readonly kind: string };

/**
 * Tells people what happened to an object (`kubectl describe`). Repetitions are counted, not repeated. Returns at once:
 * who tells never waits, nor fails when the API server is away.
 */
export interface ObjectEvents {
  /** `reason` is one word in CamelCase, e.g. `BackupCompleted`; `message` is for people, in a sentence. */
  normal(about: EventTarget, reason: string, message: string): void;
  warning(about: EventTarget, reason: string, message: string): void;
}
