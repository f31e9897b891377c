import type { Description } from '../../agent-api/description.ts';
import type { GuardianError } from '../../guardian-error.ts';

/** What one agent told, or why it told nothing. */
export interface NodeFacts {
  readonly node: string;
  /** host:port of its agent. */
  readonly address: string;
  readonly clockSkewMs: number;
  readonly description: Description | undefined;
  readonly problem: GuardianError | undefined;
}
