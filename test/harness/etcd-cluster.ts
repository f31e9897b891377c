import { electionArgs, type Etcd, type EtcdOptions, startMember } from './etcd.ts';
import { eventually } from './eventually.ts';
import { freePort, onFreePorts } from './free-port.ts';

export interface EtcdClusterOptions extends Pick<
  EtcdOptions,
  'version' | 'tls' | 'args' | 'initialClusterToken'
> {
  /** Default 3. */
  readonly size?: number;
}

/** A running cluster; each member can be paused, killed and restarted by itself. */
export interface EtcdCluster extends AsyncDisposable {
  /** Named `member-1`, `member-2`, … Learners that were added stand at the end. */
  readonly members: readonly Etcd[];
  readonly endpoints: readonly string[];
  /** The member that the others follow; waits while there is none. */
  leader(): Promise<Etcd>;
  /** Some member that isn't the leader. */
  follower(): Promise<Etcd>;
  /** Adds and starts a member that doesn't vote. */
  addLearner(): Promise<Etcd>;
}

/** Starts a cluster that has a leader:  `await using cluster = await startEtcdCluster();` */
export async function startEtcdCluster(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
  const { size = 3, ...memberOptions } = options;
  // Without the strict check a learner is taken in at once, not after 5 s of connection to all members.
  const harnessArgs = [...electionArgs(size), '--strict-reconfig-check=false'];
  const args = [...harnessArgs, ...(options.args ?? [])];
  const name = (index: number): string => `member-${index + 1}`;

  const members = await onFreePorts(2 * size, async (ports) => {
    const clientPorts = ports.slice(0, size);
    const peerPorts = ports.slice(size);
    const initialCluster = peerPorts
      .map((port, index) => `${name(index)}=http://127.0.0.1:${port}`)
      .join(',');
    const starts = await Promise.allSettled(
      clientPorts.map((clientPort, index) =>
        startMember(
          { ...memberOptions, args, name: name(index), initialCluster },
          clientPort,
          peerPorts[index] ?? 0,
        ),
      ),
    );
    const started = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    const failed = starts.find((start) => start.status === 'rejected');
    if (failed !== undefined) {
      await stopAll(started);
      throw failed.reason;
    }
    return started;
  });

  const leader = async (): Promise<Etcd> =>
    eventually('the cluster has a leader', async () => {
      const statuses = await Promise.allSettled(members.map((member) => member.status()));
      return members.find((_, index) => {
        const status = statuses[index];
        return status?.status === 'fulfilled' && status.value.leader === status.value.memberId;
      });
    });

  return {
    members,
    get endpoints() {
      return members.map((member) => member.endpoint);
    },
    leader,
    async follower() {
      const led = await leader();
      const other = members.find((member) => member !== led);
      if (other === undefined) throw new Error('a cluster of one has no follower');
      return other;
    },
    async addLearner() {
      const learner = name(members.length);
      const [clientPort, peerPort] = [await freePort(), await freePort()];
      const peerUrl = `http://127.0.0.1:${peerPort}`;
      await eventually('the cluster takes in a learner', async () =>
        (await leader()).etcdctl('member', 'add', learner, '--learner', `--peer-urls=${peerUrl}`),
      );
      const peers = [...members.map((member) => [member.name, member.peerUrl]), [learner, peerUrl]];
      const member = await startMember(
        {
          ...memberOptions,
          args,
          name: learner,
          initialCluster: peers.map((peer) => peer.join('=')).join(','),
          initialClusterState: 'existing',
        },
        clientPort,
        peerPort,
      );
      members.push(member);
      return member;
    },
    [Symbol.asyncDispose]: () => stopAll(members),
  };
}

async function stopAll(members: readonly Etcd[]): Promise<void> {
  await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
}
