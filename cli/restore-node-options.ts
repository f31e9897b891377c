import type { AcceptOptions, PointOptions } from './point-options.ts';
import type { ReportOptions } from './report-options.ts';
import type { RepositoryOptions } from './repository-options.ts';

/** What `restore node` is told. */
export interface NodeOptions extends RepositoryOptions, PointOptions, AcceptOptions, ReportOptions {
  readonly backup?: string;
  readonly snapshot?: string;
  readonly allowMissingTrailer?: boolean;
  readonly allowOlder?: boolean;
  readonly joinRestore?: string;
  readonly name?: string;
  readonly initialCluster?: string;
  readonly initialClusterToken?: string;
  readonly etcdVersion?: string;
  readonly quiesce: boolean;
  readonly rescue: boolean;
  readonly withAttachments?: boolean;
  readonly attachmentsOf?: string;
  readonly wait: string;
  readonly manifestsDir?: string;
  readonly etcdUnit?: string;
  readonly stateDir?: string;
  readonly yes?: boolean;
  readonly plan?: boolean;
  readonly rollBack?: boolean;
  readonly cleanUp?: boolean;
}
