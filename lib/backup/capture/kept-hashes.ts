import { setTimeout as delay } from 'node:timers/promises';
import type { EtcdClient } from '../../etcd/client/etcd-client.ts';
import { GuardianError } from '../../guardian-error.ts';
import type { SegmentHead } from '../../repository/segment-head.ts';
import { type CompactionWatcher, keepsHashes, newestCompaction } from '../newest-compaction.ts';

/** What asking for them needs of etcd. */
export type HashClient = CompactionWatcher & Pick<EtcdClient, 'status' | 'hashKV'>;

export interface KeptHashesOptions {
  /** Where to ask: first the member that is watched, whose compactions are looked for; none while none is known. */
  readonly endpoints: () => readonly string[];
  /** How often to look for a compaction. Default 60,000; kube-apiserver compacts every 5 minutes. */
  readonly everyMs?: number | undefined;
  /**
   * Bytes in use above which a member isn't asked: it would have to compute the hash, holding up its writes, if it was
   * restarted since that compaction. Default 512 MiB.
   */
  readonly budgetBytes?: number | undefined;
  readonly signal: AbortSignal;
}

export type KeptHash = SegmentHead['proofs'][number];

const EVERY_MS = 60_000;
const BUDGET_BYTES = 512 << 20;
/** As many as a segment carries. */
const MOST_KEPT = 64;

/**
 * Collects the hashes that members keep of compactions, at no cost for them: whoever merges up to such a revision can
 * tell whether it is what the cluster held, and which member is wrong where they differ. A compaction is asked about one
 * look after it was seen, when it is through.
 */
export class KeptHashes {
  private readonly client: HashClient;
  private readonly options: KeptHashesOptions;
  private readonly kept: KeptHash[] = [];
  private newest = -1n;
  private asked = -1n;

  constructor(client: HashClient, options: KeptHashesOptions) {
    this.client = client;
    this.options = options;
  }

  /** Resolves when the signal aborts. Whatever fails is tried again with the next look. */
  async run(): Promise<void> {
    const { everyMs = EVERY_MS, signal } = this.options;
    for (;;) {
      try {
        await delay(everyMs, undefined, { signal });
      } catch {
        return;
      }
      try {
        await this.look();
      } catch (error) {
        if (!signal.aborted && !(error instanceof GuardianError)) throw error;
      }
    }
  }

  /** Those of revisions up to `to`, once each. */
  take(to: bigint): KeptHash[] {
    const ready = this.kept.filter(({ revision }) => revision <= to);
    const later = this.kept.filter(({ revision }) => revision > to);
    this.kept.splice(0, this.kept.length, ...later);
    return ready;
  }

  private async look(): Promise<void> {
    const { signal } = this.options;
    const endpoints = this.options.endpoints();
    const [endpoint] = endpoints;
    if (endpoint === undefined) return;
    if (this.newest > this.asked) {
      const revision = this.newest;
      this.asked = revision;
      await this.askAll(endpoints, revision);
    }
    this.newest =
      (await newestCompaction(this.client, { endpoint, after: this.newest, signal })) ?? this.newest;
  }

  /** Each member once, however many endpoints lead to it; one that doesn't answer is left out. */
  private async askAll(endpoints: readonly string[], revision: bigint): Promise<void> {
    const heard = new Set<bigint>();
    for (const endpoint of endpoints) {
      try {
        await this.ask(endpoint, revision, heard);
      } catch (error) {
        if (this.options.signal.aborted || !(error instanceof GuardianError)) throw error;
      }
    }
  }

  private async ask(endpoint: string, revision: bigint, heard: Set<bigint>): Promise<void> {
    const { budgetBytes = BUDGET_BYTES, signal } = this.options;
    const { version, dbSizeInUse, header } = await this.client.status(endpoint, { signal });
    if (heard.has(header.memberId) || !keepsHashes(version) || dbSizeInUse > budgetBytes) return;
    const answer = await this.client.hashKV(endpoint, revision, { signal });
    const { hash, hashRevision, compactRevision } = answer;
    // Behind a load balancer another member may have answered.
    const { memberId } = answer.header;
    if (heard.has(memberId) || hashRevision !== revision || this.kept.length === MOST_KEPT) return;
    heard.add(memberId);
    this.kept.push({ hash, revision, compactRevision, memberId });
  }
}
