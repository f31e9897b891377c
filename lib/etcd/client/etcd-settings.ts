/** How to reach an etcd cluster; the same for all its endpoints. */
export interface EtcdSettings {
  /** `http(s)://host:port` or `host:port`, which means https when `tls` is given, else http. Port 2379 may be left out. */
  readonly endpoints: readonly string[];
  readonly tls?: TlsSettings | undefined;
  /**
   * A Unix socket that every call goes to, whatever its endpoint is called; snapshots and packed watches, which have
   * connections of their own, don't. For an etcd that listens nowhere else. No endpoint can be written so: what a person
   * or a resource names is never a file of this machine.
   */
  readonly socketPath?: string | undefined;
  readonly credentials?: EtcdCredentials | undefined;
  /** From dialling to a usable connection, TLS included. Default 5,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** For one call on an open connection; streams have none. Default 10,000. */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * How much etcd may send ahead of our reading, in bytes. Default 4 MiB; with grpc's usual 64 KiB the stream waits for us
   * at every turn.
   */
  readonly flowControlWindow?: number | undefined;
}

/** Each by file or by PEM text, not both. Files are looked at again before each call; see `TlsMaterial`. */
export interface TlsSettings {
  /** Who may vouch for etcd; the system's authorities when left out. */
  readonly caFile?: string | undefined;
  readonly ca?: string | undefined;
  readonly certFile?: string | undefined;
  readonly cert?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly key?: string | undefined;
  /** The name that etcd's certificate must carry, in place of the endpoint's host. */
  readonly serverName?: string | undefined;
  /** Believes any certificate: for a look at a broken cluster, never for a backup that matters. */
  readonly insecureSkipVerify?: boolean | undefined;
}

export interface EtcdCredentials {
  readonly username: string;
  readonly password: string;
}
