import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** What holds the ports that this process has, until it ends. */
const handedOut = new Map<number, Server | undefined>();
/** The only port of our range that `fetch` refuses (WHATWG Fetch, "bad ports"). */
const BLOCKED_BY_FETCH = 10_080;

/**
 * A port of 127.0.0.1 that nobody listens on. It lies below the ranges that systems give to outgoing
 * connections (Linux 32768+, macOS 49152+), so that it is still free when a stopped server starts again.
 * On Linux no two tests get the same one, whoever runs them; elsewhere two that ask in the same moment may, as may
 * programs of others: start servers with `onFreePorts`.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (port === BLOCKED_BY_FETCH || handedOut.has(port)) continue;
    const claim = process.platform === 'linux' ? await claimed(port) : undefined;
    if (claim === 'taken') continue;
    handedOut.set(port, claim);
    if (await isFree(port)) return port;
  }
}

/** A socket whose name is no file: one process can have it, and it goes with the process. */
async function claimed(port: number): Promise<Server | 'taken'> {
  const claim = createServer().unref();
  try {
    claim.listen(`\0etcdguardian-test-port-${port}`);
    await once(claim, 'listening');
    return claim;
  } catch {
    return 'taken';
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/** Calls `start` with `count` free ports, and again with others when it fails because one was taken meanwhile. */
export async function onFreePorts<T>(count: number, start: (ports: number[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const ports: number[] = [];
    while (ports.length < count) ports.push(await freePort());
    try {
      return await start(ports);
    } catch (error) {
      if (attempt === 5 || !String(error).includes('address already in use')) throw error;
    }
  }
}
