import { systemClock } from '../lib/clock.ts';
import { keepCompiledCode } from './compiled-code.ts';
import { EXIT_CODES } from './exit-code.ts';
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

// Whoever reads our output may have seen enough: `backup list | head`. What only tells ends by this; a restore must not
// stand still half-way because of it, nor its status be lost.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    interrupted.abort('SIGPIPE');
  });
}

/** Node's own status where nothing is left that could wake what still waits. */
const UNSETTLED = 13;
process.once('exit', (status) => {
  if (status !== UNSETTLED) return;
  process.exitCode = EXIT_CODES.failed;
  process.stderr.write(
    'etcdguardian: it ended before it was done, as nothing was left to wait for: this is a defect in etcdguardian itself, please report it\n',
  );
});

const LINGERING_MS = 500;
const { run } = await import('./run.ts');
process.exitCode = await run(
  args,
  { stdout: process.stdout, stderr: process.stderr, env: process.env, signal: interrupted.signal },
  systemClock,
);
// A pipe takes 64 KiB; whoever reads may take their time for the rest, as a person with a pager does.
for (const stream of [process.stdout, process.stderr]) {
  await new Promise<void>((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}
// What still waits has nothing to tell: gRPC, for one, goes on for minutes to connect to a host that doesn't answer.
setTimeout(() => process.exit(), LINGERING_MS).unref();
