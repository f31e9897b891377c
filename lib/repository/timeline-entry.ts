import type { GuardianError } from '../guardian-error.ts';
import type { TimelineReason } from './pick-timeline.ts';

export interface Timeline {
  readonly cluster: string;
  readonly timeline: string;
  readonly etcdClusterId: bigint;
  readonly begunAt: Date;
  readonly reason: TimelineReason;
  readonly predecessor: string | undefined;
}

export type TimelineEntry =
  | ({ readonly state: 'sound' } & Timeline)
  | {
      readonly state: 'damaged';
      readonly cluster: string;
      readonly timeline: string;
      readonly problem: GuardianError;
    };
