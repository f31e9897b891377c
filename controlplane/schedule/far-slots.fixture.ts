/**
 * Cron expressions whose slots are as far from now as may be: none comes by itself while a test runs, whatever time it is,
 * and a clock that is moved on by their period passes exactly one.
 */
export function hourlyFarFrom(now: Date): string {
  return `${(now.getUTCMinutes() + 30) % 60} * * * *`;
}

export function dailyFarFrom(now: Date): string {
  return `${now.getUTCMinutes()} ${(now.getUTCHours() + 12) % 24} * * *`;
}
