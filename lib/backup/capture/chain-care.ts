import type { Repository } from '../../repository/repository.ts';
import type { CaptureProgress } from './capture-status.ts';
import { checkChain, type ChainCheckEvent, type ChainCheckSettings } from './chain-check.ts';
import { type ExtraBaseEvent, extraBaseDelayMs, ExtraBases } from './extra-bases.ts';
import type { TakeBase } from './ship-segments.ts';

export interface ChainCareSettings {
  /** Left out: with the defaults. */
  readonly check?: ChainCheckSettings | undefined;
  readonly repository: Pick<Repository, 'points'>;
  readonly takeBase: TakeBase;
  readonly progress: CaptureProgress;
  readonly onEvent: (event: CareEvent) => void;
  /** See `ExtraBases`. */
  readonly baseDelayMs?: ((basesInARow: number) => number) | undefined;
  readonly signal: AbortSignal;
}

export type CareEvent = ChainCheckEvent | ExtraBaseEvent;

/**
 * What a running capture does for its chain beside extending it: it takes bases that nothing but the chain's state asks
 * for. Resolves when the signal aborts; rejects only with what nobody expected.
 */
export async function careForChain(settings: ChainCareSettings): Promise<void> {
  const { repository, takeBase, progress, baseDelayMs = extraBaseDelayMs, signal } = settings;
  const onEvent = (event: CareEvent): void => {
    progress.cared(event);
    if (event.kind === 'chain-checked') bases.settled();
    settings.onEvent(event);
  };
  const bases = new ExtraBases({ takeBase, onEvent, delayMs: baseDelayMs }, signal);
  await checkChain({
    ...settings.check,
    reach: repository.points.reachCheck(),
    stored: () => {
      const { state, chain, storedRevision: revision } = progress.status();
      if (state !== 'capturing' || chain === undefined || revision === undefined) return undefined;
      return { chain, revision };
    },
    takeBase: (reason) => bases.take(reason),
    ...{ onEvent, signal },
  });
}
