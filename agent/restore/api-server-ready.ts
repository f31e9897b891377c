import { request } from 'node:https';
import type { Deadline } from './node-service.ts';
import { waitUntil } from './wait-until.ts';

const EVERY_MS = 100;
const ANSWER_MS = 2_000;
/** Who isn't told more may stand before one that is still starting. */
const FORBIDDEN_MS = 5_000;

/**
 * Waits until the API server that was started with these arguments says on this node that it is ready, and resolves to
 * whether it did. Nothing secret is sent or believed, so its certificate doesn't matter. Where it answers nobody without a
 * name, that it answers has to do.
 */
export async function untilApiServerReady(args: readonly string[], deadline: Deadline): Promise<boolean> {
  const host = flag(args, 'bind-address') ?? '0.0.0.0';
  const address = { host: LOOPBACK.get(host) ?? host, port: Number(flag(args, 'secure-port') ?? 6443) };
  let forbiddenSince: number | undefined;
  return await waitUntil(
    async () => {
      const status = await readyz(address, deadline.signal);
      forbiddenSince = status === 403 ? (forbiddenSince ?? performance.now()) : undefined;
      const isForbidden = forbiddenSince !== undefined && performance.now() - forbiddenSince >= FORBIDDEN_MS;
      return status === 200 || status === 401 || isForbidden;
    },
    deadline,
    EVERY_MS,
  );
}

const LOOPBACK: ReadonlyMap<string, string> = new Map([
  ['0.0.0.0', '127.0.0.1'],
  ['::', '127.0.0.1'],
]);

function flag(args: readonly string[], name: string): string | undefined {
  const start = `--${name}=`;
  return args.findLast((arg) => arg.startsWith(start))?.slice(start.length);
}

async function readyz(
  address: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<number | undefined> {
  return await new Promise((resolve) => {
    const options = { ...address, path: '/readyz', rejectUnauthorized: false, agent: false, signal };
    const asked = request({ ...options, timeout: ANSWER_MS }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => {
      resolve(undefined);
    });
    asked.end();
  });
}
