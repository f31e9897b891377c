import { join } from 'node:path';
import { electionArgs, type Etcd, startMember } from './etcd.ts';
import { onFreePorts } from './free-port.ts';
import { temporaryFolder } from './temporary-folder.ts';
import type { EtcdVersion } from './tools.ts';

/** What a cluster is to be when its data dirs are made. */
export interface ClusterToBe {
  readonly names: readonly string[];
  /** As etcd's `--initial-cluster` has it. */
  readonly initialCluster: string;
  /** Holds a data dir for each member, `<folder>/<name>`; empty now. */
  readonly folder: string;
}

export interface RestoredCluster<Made> extends AsyncDisposable {
  readonly members: readonly Etcd[];
  readonly made: Made;
}

/** Has the data dirs of a cluster made, e.g. by `etcdguardian restore`, and starts etcd on them. */
export async function startRestoredCluster<Made extends { readonly token: string }>(
  version: EtcdVersion,
  names: readonly string[],
  makeDirs: (cluster: ClusterToBe) => Promise<Made>,
): Promise<RestoredCluster<Made>> {
  const folder = await temporaryFolder();
  const started: Etcd[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.splice(0).map((member) => member[Symbol.asyncDispose]()));
  };
  let attempt = 0;
  try {
    const made = await onFreePorts(2 * names.length, async (ports) => {
      await stop();
      attempt += 1;
      const cluster = {
        names,
        initialCluster: names.map((name, index) => `${name}=http://127.0.0.1:${ports[index]}`).join(','),
        folder: folder.join(`attempt-${attempt}`),
      };
      const dirs = await makeDirs(cluster);
      const starts = names.map((name, index) =>
        startMember(
          {
            ...{ version, name, dataDir: join(cluster.folder, name) },
            ...{ initialCluster: cluster.initialCluster, initialClusterToken: dirs.token },
            args: electionArgs(names.length),
          },
          ports[names.length + index] ?? 0,
          ports[index] ?? 0,
        ),
      );
      for (const start of await Promise.allSettled(starts)) {
        if (start.status === 'fulfilled') started.push(start.value);
      }
      await Promise.all(starts);
      return dirs;
    });
    return {
      members: started,
      made,
      async [Symbol.asyncDispose]() {
        await stop();
        await folder[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await stop();
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}
