import { GuardianError } from '../../lib/guardian-error.ts';

/** The place of a backup of namespaces in a store. */
export interface NamespacePlace {
  /** The store, as `Repository.location` has it. */
  readonly store: string;
  readonly cluster: string;
  readonly timeline: string;
  readonly id: string;
}

/** `STORE/clusters/CLUSTER/timelines/TIMELINE/namespaces/ID`: tells such a backup from one of the cluster. */
export function namespaceLocation({ store, cluster, timeline, id }: NamespacePlace): string {
  return `${store.replace(/\/+$/, '')}/clusters/${cluster}/timelines/${timeline}/namespaces/${id}`;
}

export function isNamespaceLocation(text: string): boolean {
  return PLACE.test(text);
}

/** Throws `controlplane.snapshot-location` for what is none. */
export function parseNamespaceLocation(text: string): NamespacePlace {
  const { store, cluster, timeline, id } = PLACE.exec(text)?.groups ?? {};
  if (store !== undefined && cluster !== undefined && timeline !== undefined && id !== undefined)
    return { store, cluster, timeline, id };
  throw new GuardianError(
    'controlplane.snapshot-location',
    `${JSON.stringify(text.slice(0, 300))} is not the place of a backup of namespaces`,
    {
      hint: 'It is written as in status.snapshotLocation of an EtcdBackup: STORE/clusters/CLUSTER/timelines/TIMELINE/namespaces/ID.',
    },
  );
}

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]{0,127}';
const PLACE = new RegExp(
  `^(?<store>[a-z0-9]+://[^?#\\s]+)/clusters/(?<cluster>${NAME})/timelines/(?<timeline>[0-9]{6})/namespaces/(?<id>${NAME})/?$`,
);
