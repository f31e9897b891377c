import { GuardianError } from '../../../lib/guardian-error.ts';
import type { Journal, JournalEntry } from '../../../lib/restore/cluster/journal.ts';
import type { SeededRandom } from '../../../test/harness/seeded-random.ts';
import { type HeldTerm, termKeeper, type TermKeeper } from '../../state/term-keeper.ts';
import type { MemberData } from '../member-data.ts';
import type { Deadline, NodeService } from '../node-service.ts';
import type { NodeServices } from '../node-services.ts';
import type { Callee } from './simulated-network.fixture.ts';
import type { VirtualProcess } from './virtual-time.fixture.ts';

/** The restore that is looked at. */
export const OPERATION = 'restore-1';
/** Another one of the same nodes, which somebody wants meanwhile; it never comes further than to stage. */
export const RIVAL = 'restore-2';

/** What a crash of the agent leaves. */
export interface SimulatedNode extends Callee {
  readonly name: string;
  readonly disk: {
    readonly journals: Map<string, JournalEntry>;
    /** What a power cut brings back of those that were written without fsync since: undefined where there was none. */
    readonly synced: Map<string, JournalEntry | undefined>;
    term: HeldTerm;
    /** What lies in the data dir, and what restores keep beside it: by whose operation. */
    member: 'old' | 'new' | 'none';
    readonly staged: Set<string>;
    previous: string | undefined;
    /** New data that made room for the old again. */
    discarded: string | undefined;
  };
  readonly etcd: { isWanted: boolean; isRunning: boolean };
  readonly apiServer: { isWanted: boolean; isRunning: boolean };
  process: VirtualProcess | undefined;
  /** Its clock minus true time. */
  clockMs: number;
  /** etcd doesn't come up on the new data. */
  isDamaged: boolean;
  /** Nor on the old. */
  isDead: boolean;
  /** Writes to its disk fail. */
  isFull: boolean;
}

export function simulatedNode(name: string): SimulatedNode {
  return {
    name,
    disk: {
      ...{ journals: new Map(), synced: new Map(), term: { term: 0n, holder: '', operation: '' } },
      ...{ member: 'old', staged: new Set(), previous: undefined, discarded: undefined },
    },
    ...{ etcd: { isWanted: true, isRunning: true }, apiServer: { isWanted: true, isRunning: true } },
    ...{ process: undefined, clockMs: 0, isDamaged: false, isDead: false, isFull: false },
  };
}

/** What the parts of a simulated agent work with. */
export interface NodeScene {
  readonly node: SimulatedNode;
  readonly process: VirtualProcess;
  readonly random: SeededRandom;
  /** After each thing that is changed for good; it may kill the process. */
  readonly onChange: () => void;
  /** Whether etcd on such data has a quorum. */
  readonly hasQuorum: (data: 'old' | 'new' | 'none') => boolean;
  /** Entries that are written without fsync: what the tests of the simulation look for. */
  readonly unsynced?: ((entry: JournalEntry) => boolean) | undefined;
}

function brief({ random, process }: NodeScene, mostMs = 20): Promise<void> {
  return process.pause(random.integer(1, mostMs));
}

/** As `openJournal` gives it: killed while it writes, the entry is on disk or it isn't. */
export function simulatedJournal(scene: NodeScene): Journal {
  const { node, onChange } = scene;
  const { journals, synced } = node.disk;
  const entries = new Map(journals);
  return {
    list: () => [...entries.values()].sort((a, b) => b.sinceMs - a.sinceMs),
    find: (operation) => entries.get(operation),
    async write(entry) {
      await brief(scene);
      requireRoom(node);
      const { operation } = entry;
      if (scene.unsynced?.(entry) !== true) synced.delete(operation);
      else if (!synced.has(operation)) synced.set(operation, journals.get(operation));
      journals.set(operation, entry);
      onChange();
      await brief(scene);
      entries.set(operation, entry);
    },
  };
}

/** What lay in memory alone is gone. */
export function loseUnsynced({ disk: { journals, synced } }: SimulatedNode): void {
  for (const [operation, before] of synced)
    if (before === undefined) journals.delete(operation);
    else journals.set(operation, before);
  synced.clear();
}

/** The agent's own rule, on the simulated disk. */
export function simulatedTerms(scene: NodeScene): TermKeeper {
  const { disk } = scene.node;
  return termKeeper(disk.term, async (next) => {
    await brief(scene);
    disk.term = next;
    await brief(scene);
  });
}

export function simulatedServices(scene: NodeScene): NodeServices {
  const { node } = scene;
  const service = (label: string, state: SimulatedNode['etcd'], comesUp: () => boolean): NodeService => ({
    label,
    async stop() {
      state.isWanted = false;
      await brief(scene, 3_000);
      state.isRunning = false;
      scene.onChange();
    },
    async start() {
      await brief(scene, 1_000);
      state.isWanted = true;
      state.isRunning = comesUp();
      scene.onChange();
    },
    isStopped: () => Promise.resolve(!state.isRunning),
  });
  return {
    etcd: service('etcd', node.etcd, () => comesUp(node)),
    apiServers: [service('kube-apiserver', node.apiServer, () => true)],
  };
}

export function comesUp({ disk, isDamaged, isDead }: SimulatedNode): boolean {
  return (disk.member === 'old' && !isDead) || (disk.member === 'new' && !isDamaged);
}

/** Each move by itself, with a moment between in which it may be killed. */
export function simulatedData(scene: NodeScene): MemberData {
  const { node, random } = scene;
  const { disk } = node;
  const change = async (how: () => void): Promise<void> => {
    await brief(scene);
    requireRoom(node);
    if (node.etcd.isRunning) throw new Error(`the data of ${node.name} was changed under a running etcd`);
    how();
    scene.onChange();
  };
  const untilServing = async (deadline: Deadline): Promise<void> => {
    while (!(node.etcd.isRunning && scene.hasQuorum(disk.member))) {
      if (deadline.leftMs() <= 0) throw new GuardianError('restore.not-serving', 'no leader');
      await brief(scene, 1_000);
    }
  };
  return {
    async swapIn({ operation }) {
      if (disk.previous !== operation) {
        if (!disk.staged.has(operation)) throw new GuardianError('restore.not-staged', 'nothing is staged');
        await change(() => {
          Object.assign(disk, { previous: operation, member: 'none' });
        });
      }
      if (disk.staged.has(operation))
        await change(() => {
          disk.member = 'new';
          disk.staged.delete(operation);
        });
    },
    async swapBack({ operation }) {
      if (disk.previous !== operation) return;
      if (disk.member !== 'none')
        await change(() => {
          Object.assign(disk, { member: 'none', discarded: operation });
        });
      await change(() => {
        Object.assign(disk, { member: 'old', previous: undefined });
      });
    },
    async remove({ operation }) {
      await brief(scene, 200);
      disk.staged.delete(operation);
      if (disk.previous === operation) disk.previous = undefined;
      if (disk.discarded === operation) disk.discarded = undefined;
      scene.onChange();
    },
    untilServing: (_entry, deadline) => untilServing(deadline),
    async verify(_entry, _staged, deadline) {
      await untilServing(deadline);
      await brief(scene, 2_000);
      if (random.next() < 0.01) throw new GuardianError('restore.hash-mismatch', 'another hash');
    },
  };
}

function requireRoom({ isFull }: SimulatedNode): void {
  if (isFull) throw new GuardianError('disk.full', 'no space left on device');
}
