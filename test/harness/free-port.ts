import { once } from 'node:events';
import { createServer } from 'node:net';

const handedOut = new Set<number>();
/** The only port of our range that `fetch` refuses (WHATWG Fetch, "bad ports"). */
const BLOCKED_BY_FETCH = 10_080;

/**
 * A port of 127.0.0.1 that nobody listens on. It lies below the ranges that systems give to outgoing
 * connections (Linux 32768+, macOS 49152+), so that it is still free when a stopped server starts again.
 * Two processes asking in the same moment may still get the same one: start servers with `onFreePorts`.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (port === BLOCKED_BY_FETCH || handedOut.has(port) || !(await isFree(port))) continue;
    handedOut.add(port);
    return port;
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
