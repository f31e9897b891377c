import { type ClockStep, stepMs } from '../lib/repository/clock-steps.ts';
import { duration } from './output.ts';

/** What happened to a clock, and what follows for whoever restores by time. */
export function clockStepText(step: ClockStep): string {
  const ms = stepMs(step);
  const how = ms > 0 ? 'jumped ahead' : 'was put back';
  return `the clock ${how} by ${duration(Math.abs(ms))} behind revision ${step.revision}, from ${step.before.toISOString()} to ${step.after.toISOString()}: times around it are in doubt, revisions are not`;
}
