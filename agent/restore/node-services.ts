import { join } from 'node:path';
import { GuardianError } from '../../lib/guardian-error.ts';
import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import { type Command, commandService, systemdService } from './command-service.ts';
import { type Companions, companions } from './companions.ts';
import type { NodeService } from './node-service.ts';
import { processesHolding, processesWith } from './processes.ts';
import { type Patience, staticPodService } from './static-pod-service.ts';

/** What a restore stops and starts on this node. */
export interface NodeServices {
  readonly etcd: NodeService;
  readonly apiServers: readonly NodeService[];
  /** What is restarted behind the API servers. */
  readonly companions?: Pick<Companions, 'restart'> | undefined;
}

/** How etcd is stopped and started where only settings say where it is. */
export interface ServiceCommands {
  readonly stopEtcd?: Command | undefined;
  readonly startEtcd?: Command | undefined;
}

/**
 * `keptIn`: a folder of this restore for manifests that are out of the kubelet's sight. Throws `restore.unmanaged` where
 * something can't be stopped by us.
 */
export function nodeServices(
  etcd: JournalEntry['etcd'],
  keptIn: string,
  commands: ServiceCommands,
  patience?: Patience,
): NodeServices {
  const beside = companions(etcd.apiServers, join(keptIn, 'companions.json'));
  return {
    etcd: etcdService(etcd, keptIn, commands, patience),
    apiServers: etcd.apiServers.map((from) => {
      const server = isManifest(from)
        ? staticPodService({ manifest: from, keptIn: join(keptIn, 'api-servers'), atOnce: true, patience })
        : systemdService(from, async () => (await processesWith('kube-apiserver', [])).length === 0);
      return {
        ...server,
        async stop(deadline) {
          await beside.note();
          await server.stop(deadline);
        },
      };
    }),
    companions: beside,
  };
}

function etcdService(
  { runsAs, runsFrom, dataDir }: JournalEntry['etcd'],
  keptIn: string,
  { stopEtcd, startEtcd }: ServiceCommands,
  patience: Patience | undefined,
): NodeService {
  // Whoever has its database open is etcd, whatever its name is.
  const database = join(dataDir, 'member', 'snap', 'db');
  const isReleased = async (): Promise<boolean> => (await processesHolding(database)).length === 0;
  if (dataDir === '') throw unmanaged('its data dir is not known');
  if (stopEtcd !== undefined && startEtcd !== undefined) {
    return commandService({
      ...{ label: 'etcd', stop: stopEtcd, start: startEtcd, isStopped: isReleased },
      hint: "Run the commands of the agent's settings by hand on the node, and look at what they say.",
    });
  }
  switch (runsAs) {
    case 'STATIC_POD': {
      const pod = staticPodService({ manifest: runsFrom, keptIn: join(keptIn, 'etcd'), patience });
      return { ...pod, isStopped: async () => (await pod.isStopped()) && (await isReleased()) };
    }
    case 'SYSTEMD_UNIT':
      return systemdService(runsFrom, isReleased);
    case 'BY_SETTINGS':
      throw unmanaged("the agent's settings say where etcd is, but not how to stop and start it");
    case 'RUNS_AS_UNKNOWN':
      throw unmanaged(
        runsFrom === ''
          ? 'etcd runs as a part of something else'
          : `etcd runs as a part of ${runsFrom}, whose server starts it again whenever it likes`,
      );
  }
}

function isManifest(from: string): boolean {
  return from.startsWith('/');
}

function unmanaged(why: string): GuardianError {
  return new GuardianError(
    'restore.unmanaged',
    `the agent can't stop and start the etcd of this node: ${why}`,
    {
      hint: 'Restore by hand on the node with "etcdguardian restore", or give the agent commands that stop and start etcd.',
    },
  );
}
