import { systemClock } from '../lib/clock.ts';
import { keepCompiledCode } from './compiled-code.ts';
import { yieldToEtcd } from './yield-to-etcd.ts';

const args = process.argv.slice(2);
yieldToEtcd(args);
keepCompiledCode(process.env);

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => {
    interrupted.abort(name);
    // A second one ends the process at once, as everywhere else.
  });
}

// Whoever reads our output may have seen enough: `backup list | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const LINGERING_MS = 500;
const { run } = await import('./run.ts');
process.exitCode = await run(
  args,
  { stdout: process.stdout, stderr: process.stderr, env: process.env, signal: interrupted.signal },
  systemClock,
);
// What still waits has nothing to tell: gRPC, for one, goes on for minutes to connect to a host that doesn't answer.
setTimeout(() => process.exit(), LINGERING_MS).unref();
