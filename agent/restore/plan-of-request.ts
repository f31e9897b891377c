import type { StageRequest } from '../../lib/agent-api/restore-messages.ts';
import type { EtcdSettings } from '../../lib/etcd/client/etcd-settings.ts';
import { GuardianError } from '../../lib/guardian-error.ts';
import { manyMembers } from '../../lib/restore/cluster/cluster-plan.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import type { EtcdPlace } from '../etcd/etcd-place.ts';

/** What is to be restored, as the journal keeps it. Throws `agent.request`, `restore.many-members`, `restore.grafts`. */
export function planOfRequest(request: StageRequest): JournalEntry['plan'] {
  const { point, cluster, token, bumpTo, members, quiesce, grafts } = request;
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
  if (members.length > 1) throw manyMembers(members.length);
  if (grafts.length > 0)
    throw new GuardianError('restore.grafts', 'this agent puts no further objects on top of restored data', {
      hint: 'Agent and caller must be of the same version: finish the upgrade.',
    });
  return {
    ...{ cluster, token, bumpTo, quiesce },
    ...{ timeline: point.timeline, chain: point.chain, revision: point.revision },
    members: members.map((member) => ({ ...member, peerUrls: [...member.peerUrls] })),
  };
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
