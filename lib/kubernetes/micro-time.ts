/** A time as Kubernetes' MicroTime wants it: with exactly six digits. */
export function microTime(time: Date): string {
  return time.toISOString().replace('Z', '000Z');
}
