import { existsSync, readFileSync, rmSync, writeSync } from 'node:fs';
import files from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { agentSettings, runAgent } from '../../../agent/main.ts';
import { restorePart } from '../../../agent/restore/restore-part.ts';
import { systemClock } from '../../../lib/clock.ts';
import { LogLines } from '../../../lib/log-lines.ts';

// An agent that stops, as by SIGSTOP, at the very moment when a state that a test names is in its journal: what then
// happens to it, to etcd, to the network or to the coordinator happens at exactly this step.
const [haltFile = '', patience = 'quick'] = process.argv.slice(2);
const { rename } = files;
files.rename = async (from, to) => {
  await rename(from, to);
  if (!/\/restores\/[^/]+\.json$/.test(String(to)) || !existsSync(haltFile)) return;
  const [state, token = ''] = readFileSync(haltFile, 'utf8').split(' ');
  if ((JSON.parse(readFileSync(String(to), 'utf8')) as { state: string }).state !== state) return;
  rmSync(haltFile, { force: true });
  writeSync(1, `halted ${token}\n`);
  process.kill(process.pid, 'SIGSTOP');
};
syncBuiltinESMExports();

const QUICK = { noticeMs: 300, politeMs: 1_000, steadyMs: 200 };
const stopping = new AbortController();
process.once('SIGTERM', () => {
  stopping.abort(new Error('SIGTERM'));
});
await runAgent(agentSettings(process.env), {
  clock: systemClock,
  log: new LogLines(process.stdout, systemClock, 'text'),
  signal: stopping.signal,
  parts: [
    (tools) => restorePart(tools, patience === 'kubelet' ? {} : { patience: QUICK, watchEveryMs: 100 }),
  ],
});
