import { fateOf, stageOf } from '../../../lib/restore/cluster/restore-states.ts';
import { OPERATION, type SimulatedNode } from './simulated-node.fixture.ts';
import type { VirtualTime } from './virtual-time.fixture.ts';

/** What must hold at every moment, whatever happens. */
export class Invariants {
  private readonly nodes: readonly SimulatedNode[];
  private readonly time: VirtualTime;
  /** The first that didn't hold. */
  broken: string | undefined;

  constructor(nodes: readonly SimulatedNode[], time: VirtualTime) {
    this.nodes = nodes;
    this.time = time;
  }

  check(): void {
    const broken = this.broken ?? this.decided() ?? this.served() ?? this.recoverable() ?? this.crowded();
    if (this.broken === undefined && broken !== undefined)
      this.broken = `after ${this.time.nowMs} ms: ${broken} (${this.told()})`;
  }

  /** What each node is at, for messages. */
  told(): string {
    return this.nodes
      .map(({ name, disk, etcd, apiServer, process }) => {
        const entry = disk.journals.get(OPERATION);
        const alive = process?.isAlive === true ? '' : ', agent down';
        const state = `${entry?.state ?? 'nothing'}${entry?.givenUp === true ? ' given up' : ''}`;
        return `${name}: ${state}, ${disk.member}${etcd.isRunning ? '' : ', etcd down'}${apiServer.isRunning ? '' : ', API down'}${alive}`;
      })
      .join('; ');
  }

  /** Never one committed and another back. */
  private decided(): string | undefined {
    const fates = this.nodes.flatMap(({ disk }) => {
      const entry = disk.journals.get(OPERATION);
      return entry === undefined ? [] : [fateOf(entry.state, entry.committedMs)];
    });
    return fates.includes('committed') && fates.includes('aborted')
      ? 'one committed, one went back'
      : undefined;
  }

  /** Never an API server before the old data, and one before the new. */
  private served(): string | undefined {
    const served = new Set(
      this.nodes.flatMap(({ disk, etcd, apiServer }) =>
        etcd.isRunning && apiServer.isRunning ? [disk.member] : [],
      ),
    );
    return served.size > 1 ? 'old and new data are served' : undefined;
  }

  /** Never a node that can go neither way: back until it has committed, on once anyone has. */
  private recoverable(): string | undefined {
    const states = this.nodes.map(({ disk }) => disk.journals.get(OPERATION));
    const isCommitted = states.some(
      (entry) => entry !== undefined && fateOf(entry.state, entry.committedMs) === 'committed',
    );
    const lost = this.nodes.find(({ disk }) =>
      isCommitted ? disk.member !== 'new' : disk.member !== 'old' && disk.previous === undefined,
    );
    return lost === undefined ? undefined : `${lost.name} has lost its data`;
  }

  /** Never two restores under way on one node. */
  private crowded(): string | undefined {
    const isCrowded = ({ disk }: SimulatedNode): boolean =>
      [...disk.journals.values()].filter(({ state }) => stageOf(state) !== 'over').length > 1;
    const crowded = this.nodes.find(isCrowded);
    return crowded === undefined ? undefined : `two restores are under way on ${crowded.name}`;
  }
}
