import { connect as tcp } from 'node:net';
import { connect as tls, type ConnectionOptions } from 'node:tls';

/**
 * Walks the road to an agent by hand, over a socket of its own, to find out why gRPC gets no connection: an agent judges
 * our certificate only after the handshake is over for us, and gRPC keeps what it says then to itself. Resolves within
 * `timeoutMs` to what went wrong; undefined where nothing does.
 */
export function walkToAgent(
  address: string,
  options: ConnectionOptions,
  timeoutMs: number,
): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(`tcp://${address}`);
    let step = 'TCP connects';
    const socket = tcp({ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) });
    const end = (failure?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(failure);
    };
    const timer = setTimeout(() => {
      const silence =
        step === 'TCP connects' && socket.connecting ? 'nothing answers' : `${step}, then silence`;
      end(new Error(`${silence} for ${timeoutMs} ms`));
    }, timeoutMs);
    socket.once('error', end);
    socket.once('connect', () => {
      const secured = tls({ ...options, socket, ALPNProtocols: ['h2'] });
      secured.on('error', (error) => {
        end(step === HANDSHAKE_DONE ? new RefusedAfterHandshake(error.message) : error);
      });
      secured.once('secureConnect', () => {
        step = HANDSHAKE_DONE;
      });
      secured.once('close', () => {
        end(
          step === HANDSHAKE_DONE
            ? new RefusedAfterHandshake('it hangs up')
            : new Error(`${step}, then it hangs up`),
        );
      });
      // A server of HTTP/2 speaks first.
      secured.once('data', () => {
        end();
      });
    });
  });
}

const HANDSHAKE_DONE = 'TLS stands';

/** Our certificate doesn't please the agent, which says so by hanging up; or it goes down at this very moment. */
export class RefusedAfterHandshake extends Error {}
