// Written by `make generate` from manifests/crds. Don’t edit.

/** What to back up, to where, and who keeps it for how long. */
export interface EtcdBackupSpec {
  /**
   * When to back up, as five cron fields ("0 2 * * *") or a word like "@daily", in UTC. Empty: once, now.
   * For time zones, suspension and missed runs use an EtcdBackupSchedule.
   */
  readonly schedule?: string;
  /**
   * Full: a complete snapshot of etcd. Incremental: the changes since the last backup of the same cluster
   * in the same place; where there is none to continue, a full one, and the status says so.
   */
  readonly backupMode: 'Full' | 'Incremental';
  /**
   * Client addresses of etcd, https://HOST:PORT each. Empty: the agents beside etcd are asked. Naming
   * addresses needs the right to back up the whole cluster.
   */
  readonly etcdEndpoints?: readonly string[];
  /**
   * Secrets of this namespace with the certificates for etcd, for addresses given in etcdEndpoints. Needs
   * the right to back up the whole cluster.
   */
  readonly etcdCertificates?: EtcdCertificates;
  /** The object store that keeps the backup. */
  readonly storageLocation: StorageLocation;
  /** Encryption before anything leaves the machine: AES-256-GCM, with a data key of its own for each object. */
  readonly encryption: Encryption;
  /**
   * How long backups are kept. The last good restore point, and what it needs, is never removed. Nothing
   * given: forever.
   */
  readonly retentionPolicy?: RetentionPolicy;
  /** What is proven about the backup before it counts as completed. */
  readonly validation: BackupValidation;
  /** A backup by Velero, of volumes for example, made after this one and recorded with it. */
  readonly veleroIntegration: VeleroIntegration;
  /**
   * Only the namespaces with these labels, as they are when the backup runs, and of these only kinds that
   * the requester may list. Left out, or empty: the whole cluster, which needs the right to do so.
   */
  readonly namespaceSelector?: LabelSelector;
  /**
   * Commands on the control-plane nodes. They need a right of their own, and an installation that allows
   * them.
   */
  readonly hooks?: BackupHooks;
  /**
   * What happens to the stored data when this resource is deleted. Delete removes it after a day of grace;
   * never when a namespace or the installation goes away.
   */
  readonly deletionPolicy: 'Retain' | 'Delete';
  /**
   * Who asked for this. Written by the admission webhook, whatever was sent; the rights of this user
   * decide.
   */
  readonly requestedBy?: Requester;
}

/**
 * Who asked for this. Written by the admission webhook, whatever was sent; the rights of this user
 * decide.
 */
export interface Requester {
  /** The user's name. */
  readonly username: string;
  /** The user's unique id, where the authenticator gives one. */
  readonly uid?: string;
  /** The user's groups. */
  readonly groups?: readonly string[];
  /** What else the authenticator said about the user. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/**
 * Commands on the control-plane nodes. They need a right of their own, and an installation that allows
 * them.
 */
export interface BackupHooks {
  /** Commands before the snapshot, one after the other. If one fails, the backup does. */
  readonly preBackup?: readonly Hook[];
  /**
   * Commands after the backup, one after the other, whether it succeeded or not. If one fails, the status
   * says so and the others run.
   */
  readonly postBackup?: readonly Hook[];
}

/** One command. */
export interface Hook {
  /** A name for it, which messages use. */
  readonly name: string;
  /** Exec: a program is run on the node. */
  readonly type: 'Exec';
  /** The program to run. */
  readonly exec?: HookCommand;
  /** After so many seconds it is ended, and has failed. */
  readonly timeoutSeconds: number;
}

/** The program to run. */
export interface HookCommand {
  /** The program and its arguments. No shell takes them apart. */
  readonly command: readonly string[];
}

/**
 * Only the namespaces with these labels, as they are when the backup runs, and of these only kinds that
 * the requester may list. Left out, or empty: the whole cluster, which needs the right to do so.
 */
export interface LabelSelector {
  /** Labels, with their values, that a namespace must have; all of them. */
  readonly matchLabels?: Readonly<Record<string, string>>;
  /** Requirements on a namespace's labels; all must hold. */
  readonly matchExpressions?: readonly LabelRequirement[];
}

/** A requirement on one label. */
export interface LabelRequirement {
  /** The label. */
  readonly key: string;
  /** How the label relates to the values. */
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** The values for In and NotIn. */
  readonly values?: readonly string[];
}

/** A backup by Velero, of volumes for example, made after this one and recorded with it. */
export interface VeleroIntegration {
  /** Whether to create a Velero Backup and wait for it. */
  readonly enabled: boolean;
  /** The name of the Velero Backup; left out, this backup's. */
  readonly backupName?: string;
}

/** What is proven about the backup before it counts as completed. */
export interface BackupValidation {
  /** Whether every page and record of the snapshot is checked while it passes. Costs no second read. */
  readonly enabled: boolean;
  /**
   * Whether the snapshot's hash is compared with that of a live member, and the backup is rehearsed in an
   * isolated etcd from time to time.
   */
  readonly consistencyCheck: boolean;
}

/**
 * How long backups are kept. The last good restore point, and what it needs, is never removed. Nothing
 * given: forever.
 */
export interface RetentionPolicy {
  /** How many to keep; older ones are removed. */
  readonly maxBackups?: number;
  /** How long to keep each, in hours, minutes and seconds ("720h"). */
  readonly maxAge?: string;
}

/** Encryption before anything leaves the machine: AES-256-GCM, with a data key of its own for each object. */
export interface Encryption {
  /** Whether to encrypt. */
  readonly enabled: boolean;
  /**
   * The key of a key management service that wraps the data keys: an ARN of AWS KMS, an ID like
   * acs:kms:REGION:ACCOUNT:key/ID of Alibaba Cloud KMS, or vault:TRANSIT-KEY.
   */
  readonly kmsKeyID?: string;
  /** A Secret of this namespace with the key that wraps the data keys. */
  readonly encryptionSecret?: string;
}

/** The object store that keeps the backup. */
export interface StorageLocation {
  /**
   * Whose store it is. S3: Amazon's and every server that speaks its protocol. Local: a folder on the node,
   * which needs the right to back up the whole cluster.
   */
  readonly provider: 'S3' | 'OSS' | 'GCS' | 'Azure' | 'Local';
  /** The bucket; a container for Azure, the path of a folder for Local. */
  readonly bucket: string;
  /**
   * A path inside the bucket, so that it can be shared. Never that of Velero, which takes unknown folders
   * for damage.
   */
  readonly prefix?: string;
  /** The region of the bucket, like cn-hangzhou. Required for S3 and OSS. */
  readonly region?: string;
  /** The URL of the server, where it isn't the provider's own in that region. */
  readonly endpoint?: string;
  /**
   * A Secret of this namespace with the keys for the store: access-key-id and secret-access-key for S3,
   * access-key-id and access-key-secret for OSS. Left out: the identity of the operator's own pods, which
   * needs the right to back up the whole cluster.
   */
  readonly credentialsSecret?: string;
}

/**
 * Secrets of this namespace with the certificates for etcd, for addresses given in etcdEndpoints. Needs
 * the right to back up the whole cluster.
 */
export interface EtcdCertificates {
  /** The CA that signed etcd's server certificates, as SECRET or SECRET/KEY; the key is ca.crt unless given. */
  readonly ca?: string;
  /** The client certificate, as SECRET or SECRET/KEY; the key is tls.crt unless given. */
  readonly cert?: string;
  /** The client certificate's private key, as SECRET or SECRET/KEY; the key is tls.key unless given. */
  readonly key?: string;
}
