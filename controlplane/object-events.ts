import type { EventRecorder, Regarding } from '../lib/kubernetes/event-recorder.ts';

/** What an Event is about: an object as it was read, or as much of it as is known. */
export type EventTarget = Regarding;

/**
 * Tells people what happened to an object (`kubectl describe`). Repetitions are counted, not repeated. Returns at once:
 * who tells never waits, nor fails when the API server is away.
 */
export interface ObjectEvents {
  /**
   * `reason` is one word in CamelCase, e.g. `BackupCompleted`; `message` is for people, in a sentence; `action` is what
   * was done, e.g. `Upload`.
   */
  normal(about: EventTarget, reason: string, message: string, action?: string): void;
  warning(about: EventTarget, reason: string, message: string, action?: string): void;
}

export function objectEvents(recorder: EventRecorder): ObjectEvents {
  const tell =
    (type: 'Normal' | 'Warning') =>
    (about: EventTarget, reason: string, note: string, action = 'Reconcile'): void => {
      recorder.record(about, { type, reason, action, note });
    };
  return { normal: tell('Normal'), warning: tell('Warning') };
}
