/** What one reply holds at most: it is to fit into a `StageRequest` beside other things. */
export interface KeyLimits {
  readonly keys: number;
  readonly bytes: number;
}

export const KEY_LIMITS: KeyLimits = { keys: 50_000, bytes: 24 * 1024 * 1024 };
