import type { NetworkRule } from './network-rule.ts';

/** Where and how to reach a bucket. Credentials stand apart from what a URL may hold. */
export interface S3Settings {
  readonly kind: 's3';
  readonly bucket: string;
  /** Goes before every name, without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
  /** `http(s)://host[:port]` of a server other than Amazon's. */
  readonly endpoint?: string | undefined;
  /** Default: `us-east-1` with an endpoint (which most servers don't care about), else what the environment says. */
  readonly region?: string | undefined;
  /** `endpoint/bucket/key` instead of `bucket.endpoint/key`. Default: with an endpoint. */
  readonly pathStyle?: boolean | undefined;
  /** PEM certificates; with them, only what they signed is trusted. */
  readonly ca?: { readonly file: string } | { readonly pem: string } | undefined;
  /**
   * Where connections may lead; default anywhere. With it, nothing that the server says gets into errors but S3's own
   * codes: whoever chose the server might read there what it is not his to see.
   */
  readonly network?: NetworkRule | undefined;
  /** Default: `{ kind: 'environment' }`. */
  readonly credentials?: S3Credentials | undefined;
  /**
   * For objects with `retainUntil`. GOVERNANCE (default) binds our own credentials, and someone with
   * s3:BypassGovernanceRetention can undo a mistake; COMPLIANCE binds everybody, the account's owner too.
   */
  readonly objectLock?: 'GOVERNANCE' | 'COMPLIANCE' | undefined;
  /**
   * Whether signatures cover the bytes (SHA-256, 0.6 CPU seconds per GB here and more at the server) or only the
   * headers with their CRC-32. Default: the bytes where neither TLS nor a loopback address protects them.
   */
  readonly signPayload?: boolean | undefined;
  /**
   * What the server compares the bytes with: their CRC-32 (default), or for servers that refuse that header their MD5,
   * which costs a CPU second more per GB.
   */
  readonly checksum?: 'crc32' | 'md5' | undefined;
  /** Parts of one upload sent at the same time (default 3). */
  readonly uploadConcurrency?: number | undefined;
  /** Of the first 1,000 parts (default 8 MiB; S3 allows no less than 5 MiB). */
  readonly firstPartBytes?: number | undefined;
  /** Default 10 s. */
  readonly connectTimeoutMs?: number | undefined;
  /** A connection on which nothing moves for this long, three times as long while sending, is given up (default 60 s). */
  readonly idleTimeoutMs?: number | undefined;
  /** How long a server may take to put an object together from its parts (default 15 min). */
  readonly completeTimeoutMs?: number | undefined;
}

export type S3Credentials =
  | {
      readonly kind: 'static';
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken?: string | undefined;
    }
  /** A file in the format of ~/.aws/credentials; read again every few minutes, so that it can be rotated. */
  | { readonly kind: 'file'; readonly path: string; readonly profile?: string | undefined }
  /** A role assumed with a projected service-account token (AssumeRoleWithWebIdentity). */
  | {
      readonly kind: 'web-identity';
      readonly roleArn: string;
      readonly tokenFile: string;
      readonly sessionName?: string | undefined;
      readonly stsEndpoint?: string | undefined;
    }
  /** AWS_* variables, ~/.aws, web identity or instance metadata, as the AWS tools look for them. */
  | { readonly kind: 'environment' };
