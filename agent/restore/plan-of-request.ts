import type { StageRequest } from '../../lib/agent-api/restore-messages.ts';
import type { EtcdSettings } from '../../lib/etcd/client/etcd-settings.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { type Grafts, graftsDigest } from '../../lib/restore/grafts.ts';
import type { EtcdPlace } from '../etcd/etcd-place.ts';

/** What is to be restored, as the journal keeps it. Throws `agent.request`, `restore.grafts`. */
export function planOfRequest(request: StageRequest): JournalEntry['plan'] {
  const { point, cluster, token, bumpTo, members, quiesce } = request;
  if (
    point === undefined ||
    cluster === '' ||
    token === '' ||
    members.length === 0 ||
    bumpTo <= point.revision
  )
    throw new GuardianError(
      'agent.request',
      'a restore without a point, members, a token or a first revision',
      {
        hint: 'Agent and caller must be of the same version: finish the upgrade.',
      },
    );
  const grafts = graftsDigest(graftsOf(request));
  return {
    ...(grafts === '' ? {} : { grafts }),
    ...{ cluster, token, bumpTo, quiesce },
    ...{ timeline: point.timeline, chain: point.chain, revision: point.revision },
    members: members.map((member) => ({ ...member, peerUrls: [...member.peerUrls] })),
  };
}

/** Tells one plan from another; the same for one that was read from its journal, which has its parts in another order. */
export function planText({ members, ...rest }: JournalEntry['plan']): string {
  return JSON.stringify([
    Object.entries(rest)
      .map(([name, value]) => `${name}: ${String(value)}`)
      .sort(),
    members.map(({ node, name, agentAddress, peerUrls }) => [node, name, agentAddress, ...peerUrls]),
  ]);
}

/** What is put on top of the restored data. */
export function graftsOf({ grafts, graftPrefixes }: Pick<StageRequest, 'grafts' | 'graftPrefixes'>): Grafts {
  return { items: grafts, prefixes: graftPrefixes };
}

/** Where etcd is, as long as its manifest may be away. Throws `restore.unmanaged`. */
export function etcdOfNode(place: EtcdPlace): JournalEntry['etcd'] {
  const { runsAs, runsFrom, name, dataDir, walDir, client, apiServers } = place;
  return {
    ...{ runsAs, runsFrom, name, dataDir, walDir },
    endpoints: [...client.endpoints],
    ...(client.tls === undefined ? {} : { tls: tlsFiles(client) }),
    apiServers: [...apiServers],
  };
}

/** Only where the files are: no secrets go into a journal. */
function tlsFiles({ tls = {} }: EtcdSettings): NonNullable<JournalEntry['etcd']['tls']> {
  const { caFile, certFile, keyFile, serverName, insecureSkipVerify } = tls;
  return { caFile, certFile, keyFile, serverName, insecureSkipVerify };
}
