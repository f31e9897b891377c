import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds that each took, from when it was due; how many failed. */
export interface LoopResult {
  readonly times: readonly number[];
  readonly failed: number;
}

/** Open loop: each is begun when it is due, however the earlier ones fare. `once` resolves to whether it succeeded. */
export async function openLoop(
  perSecond: number,
  seconds: number,
  once: (at: number) => Promise<boolean>,
): Promise<LoopResult> {
  const times: number[] = [];
  const all: Promise<void>[] = [];
  let failed = 0;
  const began = performance.now();
  for (let at = 0; at < perSecond * seconds; at += 1) {
    const due = began + (at * 1000) / perSecond;
    const wait = due - performance.now();
    if (wait > 0) await delay(wait);
    all.push(
      once(at).then((succeeded) => {
        if (succeeded) times.push(performance.now() - due);
        else failed += 1;
      }),
    );
  }
  await Promise.all(all);
  return { times, failed };
}
