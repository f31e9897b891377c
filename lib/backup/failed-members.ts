import { GuardianError, hasCode } from '../guardian-error.ts';
import { chooseSource, type ChoosingClient, type ChosenSource, type SourceOptions } from './choose-source.ts';
import { MembersDifferError } from './members-differ.ts';

/** What one backup has learned of the members that its attempts failed with. */
export class FailedMembers {
  /** Their data is wrong: neither read nor asked again. */
  private readonly damaged = new Set<bigint>();
  /** They hold different data, and nobody knows which is right: asked again, not read. */
  private readonly disputed = new Set<bigint>();
  /** Their trouble may pass. */
  private readonly troubled = new Set<bigint>();
  private lastDamage: GuardianError | undefined;

  /** True when members were found to differ. */
  get anyDiffer(): boolean {
    return this.disputed.size > 0;
  }

  /** Remembers why an attempt failed, and tells whether another one makes sense. */
  record({ status, provers }: ChosenSource, error: unknown): 'again' | 'give up' {
    if (!(error instanceof GuardianError)) return 'give up';
    // The next attempt takes a new timeline.
    if (error.code === 'repository.history-differs') return 'again';
    if (error instanceof MembersDifferError) {
      const { outvoted, heard } = error;
      for (const id of outvoted) this.damaged.add(id);
      if (outvoted.size === 0) for (const id of heard) this.disputed.add(id);
      this.lastDamage = error;
      const others = provers.filter(({ memberId }) => outvoted.size > 0 || !heard.has(memberId));
      return others.length > 0 ? 'again' : 'give up';
    }
    const { memberId } = status.header;
    if (error.code === 'backup.unsound') {
      this.damaged.add(memberId);
      this.lastDamage = error;
      return 'again';
    }
    // The store has been tried again already by its decorator.
    if (!error.code.startsWith('etcd.') || error.code === 'etcd.permission-denied') return 'give up';
    this.troubled.add(memberId);
    return 'again';
  }

  /** The best member that hasn't failed; when all have, one whose trouble may have passed. */
  async nextSource(
    client: ChoosingClient,
    options: Pick<SourceOptions, 'listedMembers' | 'signal'>,
  ): Promise<ChosenSource> {
    const { damaged, disputed, troubled, lastDamage } = this;
    try {
      const notSource = new Set([...disputed, ...troubled]);
      return await chooseSource(client, { ...options, failed: damaged, notSource });
    } catch (error) {
      if (!hasCode(error, 'etcd.no-member')) throw error;
      if (troubled.size > 0) {
        troubled.clear();
        return this.nextSource(client, options);
      }
      throw lastDamage ?? error;
    }
  }
}
