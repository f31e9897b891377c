import type { EtcdSettings } from '../../lib/etcd/client/etcd-settings.ts';

/** How the etcd of this node runs; names as in agent.proto. */
export type RunsAs = 'STATIC_POD' | 'SYSTEMD_UNIT' | 'BY_SETTINGS' | 'RUNS_AS_UNKNOWN';

/** The etcd of this node, as its configuration has it. Paths are those of the node. */
export interface EtcdPlace {
  readonly runsAs: RunsAs;
  /** The manifest's path, or the unit's name. */
  readonly runsFrom: string;
  readonly name: string;
  /** Empty where only endpoints are known. */
  readonly dataDir: string;
  /** Empty: in the data dir. */
  readonly walDir: string;
  readonly peerUrls: readonly string[];
  readonly initialCluster: string;
  /** How to reach it. */
  readonly client: EtcdSettings;
  /** Manifests or units of this node's API servers. */
  readonly apiServers: readonly string[];
}
