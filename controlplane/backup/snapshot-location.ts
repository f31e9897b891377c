import { GuardianError } from '../../lib/guardian-error.ts';

/** What a place in a store names: a chain's base, or a revision behind it. */
export interface SnapshotPlace {
  /** The store, as `Repository.location` has it: `s3://bucket/prefix`, `file:///folder`. */
  readonly store: string;
  readonly cluster: string;
  readonly timeline: string;
  /** The id of the base; of a backup of namespaces its own. */
  readonly chain: string;
  /** True: a backup of namespaces, which lies in a folder of its own. */
  readonly ofNamespaces?: boolean;
  /** Undefined: the base's own. */
  readonly revision: bigint | undefined;
}

/**
 * `STORE/clusters/CLUSTER/timelines/TIMELINE/chains/CHAIN`, with `?revision=R` for a point behind the base; with
 * `namespaces` in place of `chains` for a backup of namespaces.
 */
export function snapshotLocation({
  store,
  cluster,
  timeline,
  chain,
  revision,
  ofNamespaces,
}: SnapshotPlace): string {
  const folder = ofNamespaces === true ? 'namespaces' : 'chains';
  const place = `${store.replace(/\/+$/, '')}/clusters/${cluster}/timelines/${timeline}/${folder}/${chain}`;
  return revision === undefined ? place : `${place}?revision=${revision}`;
}

/** Throws `controlplane.snapshot-location` for what is none. */
export function parseSnapshotLocation(text: string): SnapshotPlace {
  const { store, cluster, timeline, folder, chain, query } = PLACE.exec(text)?.groups ?? {};
  const revision = query === undefined ? undefined : REVISION.exec(query)?.groups?.revision;
  const isPlace =
    store !== undefined && cluster !== undefined && timeline !== undefined && chain !== undefined;
  if (isPlace && (query === undefined) === (revision === undefined))
    return {
      ...{ store, cluster, timeline, chain },
      revision: revision === undefined ? undefined : BigInt(revision),
      ...(folder === 'namespaces' ? { ofNamespaces: true } : {}),
    };
  throw new GuardianError(
    'controlplane.snapshot-location',
    `${JSON.stringify(text.slice(0, 300))} is not the place of a backup`,
    {
      hint: 'It is written as in status.snapshotLocation of an EtcdBackup: STORE/clusters/CLUSTER/timelines/TIMELINE/chains/ID, perhaps with ?revision=NUMBER.',
    },
  );
}

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]{0,127}';
const PLACE = new RegExp(
  `^(?<store>[a-z0-9]+://[^?#\\s]+)/clusters/(?<cluster>${NAME})/timelines/(?<timeline>[0-9]{6})/(?<folder>chains|namespaces)/(?<chain>${NAME})/?(\\?(?<query>.*))?$`,
);
const REVISION = /^revision=(?<revision>[0-9]{1,19})$/;
