import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import { hasCode } from '../guardian-error.ts';
import { visibleText } from '../visible-text.ts';
import type { KubeClient, KubeObject, KubeResource } from './kube-client.ts';
import { microTime } from './micro-time.ts';

/** What an Event is about: an object as it was read, or as much of it as is known. */
export type Regarding = KubeObject & { readonly apiVersion: string; readonly kind: string };

export interface EventText {
  readonly type: 'Normal' | 'Warning';
  /** Why, one word in CamelCase, e.g. `BackupCompleted`. */
  readonly reason: string;
  /** What was done or tried, one word in CamelCase, e.g. `Reconcile`. */
  readonly action: string;
  /** For people, in a sentence; cut to what Kubernetes takes. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** E.g. `etcdguardian.io/controlplane`. */
  readonly controller: string;
  /** E.g. the pod's name. */
  readonly instance: string;
  readonly clock?: Clock;
  readonly monotonic?: () => number;
  /** What could not be told, and why, for logs. */
  readonly onTrouble?: (error: unknown) => void;
}

/**
 * Tells people what happened to objects (`kubectl describe`), as events.k8s.io/v1. What is repeated within
 * `SERIES_MS` is counted in one Event; one object gets `BURST` different ones at once, then one each `EVERY_MS`.
 */
export interface EventRecorder {
  /** Returns at once and never throws: what can't be written is told to `onTrouble`, once a minute at most. */
  record(about: Regarding, text: EventText): void;
  /** Resolves when all is written, or the signal aborts. */
  flush(signal: AbortSignal): Promise<void>;
}

const EVENTS: KubeResource = { group: 'events.k8s.io', version: 'v1', plural: 'events' };
const SERIES_MS = 6 * 60_000;
/** A series' count is written so often at most. */
const WRITE_MS = 10_000;
const BURST = 25;
const EVERY_MS = 60_000;
/** Kubernetes' limit, in bytes. */
const LONGEST_NOTE = 1_024;
const LONGEST_WORD = 128;
const MOST_WAITING = 500;
const MOST_REMEMBERED = 2_000;
const TROUBLE_MS = 60_000;

interface Series {
  readonly about: Regarding;
  readonly text: EventText;
  readonly firstAt: Date;
  lastAt: Date;
  lastMs: number;
  count: number;
  /** As the API server has it. */
  written?: { readonly name: string; readonly count: number; readonly atMs: number };
  waiting: boolean;
}

export function eventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, controller, instance, clock = systemClock } = options;
  const monotonic = options.monotonic ?? (() => performance.now());
  const series = new Map<string, Series>();
  const spentUntil = new Map<string, number>();
  const queue: Series[] = [];
  let working: Promise<void> | undefined;
  let troubleMs = -Infinity;

  const trouble = (error: unknown): void => {
    if (monotonic() - troubleMs < TROUBLE_MS) return;
    troubleMs = monotonic();
    options.onTrouble?.(error);
  };
  const enqueue = (one: Series): void => {
    if (one.waiting || queue.length >= MOST_WAITING) return;
    one.waiting = true;
    queue.push(one);
    working ??= work();
  };
  const work = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      one.waiting = false;
      await write(one).catch(trouble);
    }
    // In the moment in which nothing is left: what comes next begins anew.
    working = undefined;
  };
  const write = async (one: Series): Promise<void> => {
    const { count, written } = one;
    const { namespace = 'default' } = one.about.metadata;
    if (written !== undefined) {
      try {
        await client.mergePatch(
          { resource: EVENTS, namespace, name: written.name },
          { series: { count, lastObservedTime: microTime(one.lastAt) } },
        );
        one.written = { name: written.name, count, atMs: monotonic() };
        return;
      } catch (error) {
        // It expired: they live for an hour.
        if (!hasCode(error, 'kubernetes.not-found')) throw error;
      }
    }
    const name = `${one.about.metadata.name.slice(0, 200)}.${randomBytes(8).toString('hex')}`;
    await client.create(EVENTS, namespace, eventOf(one, name, namespace, { controller, instance }));
    one.written = { name, count, atMs: monotonic() };
  };
  /** Whether the object has Events left; a bucket that fills by one each `EVERY_MS`. */
  const spend = (key: string): boolean => {
    const now = monotonic();
    const until = Math.max(spentUntil.get(key) ?? 0, now) + EVERY_MS;
    if (until - now > BURST * EVERY_MS) return false;
    spentUntil.delete(key);
    spentUntil.set(key, until);
    forgetOldest(spentUntil);
    return true;
  };

  return {
    record(about, text) {
      const safe = safeText(text);
      const object = `${about.apiVersion} ${about.kind} ${about.metadata.namespace ?? ''}/${about.metadata.name} ${about.metadata.uid ?? ''}`;
      const key = JSON.stringify([object, safe]);
      const now = monotonic();
      const known = series.get(key);
      if (known !== undefined && now - known.lastMs < SERIES_MS) {
        known.count += 1;
        known.lastMs = now;
        known.lastAt = clock();
        if (now - (known.written?.atMs ?? -Infinity) >= WRITE_MS) enqueue(known);
        return;
      }
      if (!spend(object)) return;
      const at = clock();
      const fresh = {
        about: slim(about),
        text: safe,
        firstAt: at,
        lastAt: at,
        lastMs: now,
        count: 1,
        waiting: false,
      };
      series.delete(key);
      series.set(key, fresh);
      forgetOldest(series);
      enqueue(fresh);
    },
    async flush(signal) {
      for (const one of series.values())
        if (one.written !== undefined && one.written.count < one.count) enqueue(one);
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const stop = (): void => {
        resolve(undefined);
      };
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) stop();
      await Promise.race([working, promise]);
      signal.removeEventListener('abort', stop);
    },
  };
}

function eventOf(
  { about, text, firstAt, lastAt, count }: Series,
  name: string,
  namespace: string,
  { controller, instance }: { controller: string; instance: string },
): object {
  const { metadata, apiVersion, kind } = about;
  return {
    ...{ apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { name, namespace } },
    ...{
      eventTime: microTime(firstAt),
      type: text.type,
      reason: text.reason,
      action: text.action,
      note: text.note,
    },
    ...{ reportingController: controller, reportingInstance: instance.slice(0, LONGEST_WORD) },
    regarding: {
      ...{ apiVersion, kind, name: metadata.name, namespace: metadata.namespace },
      ...{ uid: metadata.uid, resourceVersion: metadata.resourceVersion },
    },
    ...(count > 1 ? { series: { count, lastObservedTime: microTime(lastAt) } } : {}),
  };
}

function safeText({ type, reason, action, note }: EventText): EventText {
  const word = (text: string, otherwise: string): string => {
    const short = visibleText(text).slice(0, LONGEST_WORD);
    return short === '' ? otherwise : short;
  };
  return { type, reason: word(reason, 'Unknown'), action: word(action, 'Reconcile'), note: shortNote(note) };
}

/** In bytes of UTF-8, never cut within a character. */
function shortNote(note: string): string {
  const text = visibleText(note.slice(0, LONGEST_NOTE)).toWellFormed();
  if (Buffer.byteLength(text) <= LONGEST_NOTE) return text;
  const room = LONGEST_NOTE - Buffer.byteLength('…');
  return `${new TextDecoder().decode(Buffer.from(text).subarray(0, room)).replace(/\uFFFD+$/, '')}…`;
}

/** What of an object has to be remembered. */
function slim({
  apiVersion,
  kind,
  metadata: { name, namespace, uid, resourceVersion },
}: Regarding): Regarding {
  return {
    ...{ apiVersion, kind },
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}

/** Maps keep the order of insertion. */
function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= MOST_REMEMBERED) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
