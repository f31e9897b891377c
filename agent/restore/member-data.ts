import type { JournalEntry } from '../../lib/restore/cluster/journal.ts';
import {
  removeRestoreDirs,
  type RestoreDirs,
  restoreDirs,
  swapBack,
  swapIn,
} from '../../lib/restore/cluster/swap-dirs.ts';
import { untilServing, verifyMember } from './member-etcd.ts';
import type { Deadline } from './node-service.ts';

/** The data of a node's member: where it lies, and what the etcd that runs on it says. Each call may be repeated. */
export interface MemberData {
  /** See `swapIn`. */
  swapIn(entry: JournalEntry): Promise<void>;
  swapBack(entry: JournalEntry): Promise<void>;
  /** What the restore made or put aside. */
  remove(entry: JournalEntry): Promise<void>;
  untilServing(entry: JournalEntry, deadline: Deadline): Promise<void>;
  /** See `verifyMember`. */
  verify(entry: JournalEntry, staged: NonNullable<JournalEntry['staged']>, deadline: Deadline): Promise<void>;
}

export const memberData: MemberData = {
  swapIn: (entry) => swapIn(dirsOf(entry)),
  swapBack: (entry) => swapBack(dirsOf(entry)),
  remove: (entry) => removeRestoreDirs(dirsOf(entry)),
  untilServing: ({ etcd }, deadline) => untilServing(etcd, deadline),
  verify: ({ etcd }, staged, deadline) => verifyMember(etcd, staged, deadline),
};

export function dirsOf({ etcd, operation }: JournalEntry): RestoreDirs {
  return restoreDirs(etcd.dataDir, etcd.walDir, operation);
}
