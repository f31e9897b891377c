import { systemClock } from '../lib/clock.ts';
import { keepCompiledCode } from './compiled-code.ts';
import { EXIT_CODES } from './exit-code.ts';
import { yieldToEtcd } from './yield-to-etcd.ts';

const args = process.argv.slice(2);
yieldToEtcd(args);
keepCompiledCode(process.env);

const interrupted = new AbortController();
const STOPS = ['SIGINT', 'SIGTERM'] as const;
for (const name of STOPS) {
  process.once(name, () => {
    interrupted.abort(name);
    // A second one ends the process at once, as everywhere else.
  });
}

// Whoever reads our output may have seen enough: `backup list | head`. What only tells ends by this; a restore must not
// stand still half-way because of it, nor its status be lost. A log that can't be written, as its disk is full, ends nothing.
const OUTPUTS = { output: process.stdout, messages: process.stderr };
let unwritten: string | undefined;
for (const [what, stream] of Object.entries(OUTPUTS)) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') interrupted.abort('SIGPIPE');
    else if (error.code !== 'ERR_STREAM_DESTROYED')
      unwritten ??= `the ${what} could not be written: ${error.message}`;
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
const status = await run(
  args,
  { stdout: process.stdout, stderr: process.stderr, env: process.env, signal: interrupted.signal },
  systemClock,
);
for (const name of STOPS) process.removeAllListeners(name);
// A pipe takes 64 KiB; whoever reads may take their time for the rest, as a person with a pager does.
for (const stream of Object.values(OUTPUTS)) {
  await new Promise<void>((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}
process.exitCode = status;
if (unwritten !== undefined) {
  if (status === EXIT_CODES.ok) process.exitCode = EXIT_CODES.failed;
  process.stderr.write(`etcdguardian: ${unwritten}\n`);
}
// What still waits has nothing to tell: gRPC, for one, goes on for minutes to connect to a host that doesn't answer.
setTimeout(() => process.exit(), LINGERING_MS).unref();
