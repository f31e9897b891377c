/** Seconds of `1h30m`, `1.5h`; undefined for what is no duration. */
export function durationSeconds(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?[hms])+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)([hms])/g))
    sum += Number(number) * (unit === 'h' ? 3600 : unit === 'm' ? 60 : 1);
  return sum;
}
