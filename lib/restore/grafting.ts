import type { MemberDatabaseOptions } from '../etcd/datadir/member-database.ts';
import { GuardianError } from '../guardian-error.ts';
import { GIVES_WAY, STAYS, type GraftKeys } from './graft-grouping.ts';
import { type Grafts, grafts, isWithoutGrafts } from './grafts.ts';
import { graftKeys, type OnTop, putOnTop } from './put-on-top.ts';
import type { RestorePlan } from './restore-plan.ts';
import type { JudgedDatabase } from './snapshot-source.ts';

/** What one restore puts on top of its data: known in part before the data passes, and in whole when it has. */
export class Grafting {
  readonly keys: GraftKeys;
  /** Bytes that they take, about. */
  readonly size: number;
  private readonly given: Grafts;
  private made: OnTop | undefined;

  private constructor(given: Grafts) {
    this.given = given;
    this.keys = graftKeys(given);
    this.size = given.items.reduce((sum, { key, value }) => sum + 2 * key.length + value.length + 256, 0);
  }

  /** Undefined where a plan has none. Throws `restore.grafts` for those that can't be put. */
  static of({ grafts: given, bumpTo }: RestorePlan): Grafting | undefined {
    if (given === undefined || isWithoutGrafts(given)) return undefined;
    if (bumpTo !== undefined) return new Grafting(grafts(given));
    throw new GuardianError(
      'restore.grafts',
      'objects can be put on top of restored data only where revisions are bumped',
      { hint: 'Let the restored cluster begin at a higher revision.' },
    );
  }

  /** For the database of `snapshot`, once it was taken. */
  onTop(snapshot: JudgedDatabase): NonNullable<MemberDatabaseOptions['onTop']> {
    return async (file, revision) => {
      const alive = await snapshot.liveEntriesOf([GIVES_WAY, STAYS]);
      this.made = await putOnTop(this.given, alive, file, revision);
      return this.made.entries;
    };
  }

  /** Once they were put. */
  get done(): OnTop {
    if (this.made === undefined) throw new Error('the grafts were not put');
    return this.made;
  }
}
