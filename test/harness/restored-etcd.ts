import { join } from 'node:path';
import {
  type MemberDirOptions,
  writeMemberDir,
  type WrittenMemberDir,
} from '../../lib/etcd/datadir/member-dir.ts';
import { electionArgs, type Etcd, startMember } from './etcd.ts';
import { onFreePorts } from './free-port.ts';
import { temporaryFolder } from './temporary-folder.ts';
import type { EtcdVersion } from './tools.ts';

export interface RestoreOptions extends Partial<
  Pick<MemberDirOptions, 'bumpTo' | 'clearAlarms' | 'versionEdits'>
> {
  readonly version: EtcdVersion;
  /** A snapshot file. */
  readonly file: string;
  /** Members; default 1. */
  readonly size?: number;
  readonly args?: readonly string[];
}

/** A cluster that runs on data dirs of our own making. */
export interface RestoredEtcd extends AsyncDisposable {
  readonly members: readonly Etcd[];
  /** The first of them, for tests of one. */
  readonly member: Etcd;
  /** What was written for each. */
  readonly dirs: readonly WrittenMemberDir[];
}

/** Makes the data dirs of a new cluster from a snapshot and starts etcd on them. */
export async function startRestored(options: RestoreOptions): Promise<RestoredEtcd> {
  const { version, file, size = 1, args = [], ...edits } = options;
  const folder = await temporaryFolder();
  const started: Etcd[] = [];
  const stop = async (): Promise<void> => {
    for (const member of started.splice(0)) await member[Symbol.asyncDispose]();
  };
  let attempt = 0;
  try {
    const dirs = await onFreePorts(2 * size, async (ports) => {
      await stop();
      attempt += 1;
      const members = ports.slice(0, size).map((port, index) => ({
        name: `m${index + 1}`,
        peerUrls: [`http://127.0.0.1:${port}`],
      }));
      const cluster = { token: `restored-${attempt}`, members };
      const written: WrittenMemberDir[] = [];
      for (const { name } of members) {
        const dataDir = folder.join(`${attempt}`, name);
        written.push(await writeMemberDir({ ...edits, dataDir, snapshot: { file }, name, cluster }));
      }
      const starts = members.map(({ name }, index) =>
        startMember(
          {
            version,
            name,
            dataDir: join(folder.path, `${attempt}`, name),
            initialCluster: members.map((member) => `${member.name}=${member.peerUrls.join('')}`).join(','),
            initialClusterToken: cluster.token,
            args: [...electionArgs(size), ...args],
          },
          ports[size + index] ?? 0,
          ports[index] ?? 0,
        ),
      );
      for (const start of await Promise.allSettled(starts)) {
        if (start.status === 'fulfilled') started.push(start.value);
      }
      await Promise.all(starts);
      return written;
    });
    const [member] = started;
    if (member === undefined) throw new Error('a cluster of no members');
    return {
      ...{ members: started, member, dirs },
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
