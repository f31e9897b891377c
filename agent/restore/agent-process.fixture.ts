import { systemClock } from '../../lib/clock.ts';
import { LogLines } from '../../lib/log-lines.ts';
import { agentSettings, runAgent } from '../main.ts';
import { restorePart } from './restore-part.ts';

// An agent that a test may end by kill -9.
const stopping = new AbortController();
process.once('SIGTERM', () => {
  stopping.abort(new Error('SIGTERM'));
});
await runAgent(agentSettings(process.env), {
  clock: systemClock,
  log: new LogLines(process.stdout, systemClock, 'text'),
  signal: stopping.signal,
  parts: [
    (tools) =>
      restorePart(tools, { patience: { noticeMs: 300, politeMs: 1_000, steadyMs: 200 }, watchEveryMs: 100 }),
  ],
});
