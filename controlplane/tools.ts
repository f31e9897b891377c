import type { AuditLog } from '../lib/audit-log.ts';
import type { Clock } from '../lib/clock.ts';
import type { KubeClient } from '../lib/kubernetes/kube-client.ts';
import type { LogLines } from '../lib/log-lines.ts';
import type { CredentialSource } from '../lib/pki/credential-folder.ts';
import type { AgentDirectory } from './agents/agent-directory.ts';
import type { ControlPlaneMetrics } from './metrics.ts';
import type { ObjectEvents } from './object-events.ts';
import type { ControlPlaneSettings } from './settings.ts';

/** What every controller is made with. */
export interface ControlPlaneTools {
  /**
   * With the rights of our service account; `kube.as(requester)` has those of a person. What changes something is sent
   * only while this replica leads, and rejects with `kubernetes.not-leader` after that.
   */
  readonly kube: KubeClient;
  /** Our own. */
  readonly namespace: string;
  /** This replica. */
  readonly pod: PodIdentity;
  /** The uid of namespace kube-system, which names the cluster in stores. */
  readonly cluster: string;
  readonly clock: Clock;
  /** 0 up to 1. */
  readonly random: () => number;
  readonly log: LogLines;
  readonly audit: AuditLog;
  readonly events: ObjectEvents;
  readonly agents: AgentDirectory;
  readonly metrics: ControlPlaneMetrics;
  readonly settings: ControlPlaneSettings;
  readonly leadership: Leadership;
  /** Our own certificate, for agents. */
  readonly credentials: CredentialSource;
  /**
   * The key file that signs where no encryption is asked for, as `Keys.signing` of agents and `parseKeyFile` take it.
   * Rejects with `controlplane.signing-key`.
   */
  signingKeyFile(): Promise<Uint8Array>;
}

export interface PodIdentity {
  readonly name: string;
  /** Undefined outside a pod. */
  readonly uid: string | undefined;
}

/** Whether this replica leads, now. */
export interface Leadership {
  /** By our own clock alone. */
  readonly leading: boolean;
  /** Throws `kubernetes.not-leader` unless `leading`; before anything is changed outside the API server. */
  requireLeading(): void;
  /** Asks the API server, past every cache. Rejects with `kubernetes.not-leader` when another holds the Lease. */
  verify(signal?: AbortSignal): Promise<void>;
}
