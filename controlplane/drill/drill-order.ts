import type { DrillPodSettings } from './drill-pod-settings.ts';

/** A drill to be held. */
export interface DrillOrder {
  /** Of the Job. */
  readonly name: string;
  /**
   * Of its Secret: another one for each Job, or one that is made again under the same name might mount what goes with the
   * one before.
   */
  readonly secret: string;
  /** What is drilled. */
  readonly backup: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly at: Date;
  /** More arguments of `etcdguardian drill run`: the store, which backup, its keys. */
  readonly arguments: readonly string[];
  /** Entries of the Secret, which are mounted in `ORDER_FOLDER`. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Environment variables, secret ones too: their values lie in the Secret. */
  readonly environment: Readonly<Record<string, string>>;
  readonly images: DrillImages;
}

export interface DrillImages {
  /** Our own. */
  readonly guardian: string;
  /** One with a program `etcd`. */
  readonly etcd: string;
  /** One with a program `kube-apiserver`; undefined: the drill is held without one. */
  readonly kubeApiserver: string | undefined;
}

export interface DrillSettings {
  /** Our own. */
  readonly namespace: string;
  /** After it a drill is ended. */
  readonly deadlineMs: number;
  readonly serviceAccount: string;
  readonly pod: DrillPodSettings;
}

/** Where `DrillOrder.files` lie. */
export const ORDER_FOLDER = '/drill/order';
