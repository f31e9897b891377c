import { setTimeout as delay } from 'node:timers/promises';
import { GuardianError } from '../../guardian-error.ts';
import type { ChainPlace } from '../../repository/chain.ts';
import type { ReachCheck } from '../../repository/points.ts';

export interface ChainCheckSettings {
  /** Between two looks at the store. Default 180,000. */
  readonly everyMs?: number | undefined;
  /** Of segments that are read whole with each look, others each time; 0: none. Default 4 MiB. */
  readonly bodyBytes?: number | undefined;
}

export interface ChainCheckTools extends ChainCheckSettings {
  readonly reach: ReachCheck;
  /** What is stored, while segments follow one another; else undefined. */
  readonly stored: () => { readonly chain: ChainPlace; readonly revision: bigint } | undefined;
  /** Takes a base behind what can't be restored, when that is due. */
  readonly takeBase: (reason: string) => Promise<boolean>;
  readonly onEvent: (event: ChainCheckEvent) => void;
  readonly signal: AbortSignal;
}

export type ChainCheckEvent =
  /** All that was stored behind the newest base can be restored. */
  | { readonly kind: 'chain-checked'; readonly segments: number; readonly bytesRead: number }
  /** Points behind `after` can't be restored, until there is a base behind them. Told once of each hole. */
  | { readonly kind: 'chain-broken'; readonly after: bigint; readonly error: GuardianError }
  | { readonly kind: 'check-failed'; readonly error: GuardianError };

export const CHECK = { everyMs: 180_000, bodyBytes: 4 << 20 } as const;

/**
 * Looks now and then whether what a running capture stored still stands: someone may delete or damage a segment in the
 * middle of the chain, and all that is captured behind it would be out of reach until the next base. So one is taken at
 * once; what lies between the hole and that base is lost, unless someone brings back what is missing.
 *
 * Resolves when the signal aborts.
 */
export async function checkChain(tools: ChainCheckTools): Promise<void> {
  const { reach, stored, takeBase, onEvent, signal } = tools;
  const { everyMs = CHECK.everyMs, bodyBytes = CHECK.bodyBytes } = tools;
  let told: string | undefined;
  for (;;) {
    try {
      await delay(everyMs, undefined, { signal });
    } catch {
      return;
    }
    const upTo = stored();
    if (upTo === undefined) continue;
    try {
      const { problem, reached, segments, bytesRead } = await reach.look(upTo.chain, upTo.revision, {
        bodyBytes,
        signal,
      });
      if (problem === undefined) {
        told = undefined;
        onEvent({ kind: 'chain-checked', segments, bytesRead });
        continue;
      }
      const hole = `${upTo.chain.timeline} ${reached} ${problem.message}`;
      if (told !== hole) onEvent({ kind: 'chain-broken', after: reached, error: problem });
      told = hole;
      await takeBase(`what was captured behind revision ${reached} can't be restored: ${problem.message}`);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof GuardianError)) throw error;
      onEvent({ kind: 'check-failed', error });
    }
  }
}
