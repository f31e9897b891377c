/** How long to wait after so many failures, from 1: `firstMs`, then twice as long each time, up to `longestMs`. */
export function doubledMs(failures: number, firstMs: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
}
