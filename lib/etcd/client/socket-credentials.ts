import { ChannelCredentials, credentials } from '@grpc/grpc-js';
import type { Socket } from 'node:net';
import type { Route } from './route.ts';
import { distrustOf, startTls } from './start-tls.ts';

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/**
 * How gRPC's sockets become connections to etcd. grpc-js has credentials of its own for this, but they can't do TLS with
 * an address in place of a name (Node 26 refuses the server name they set), and when a server accepts the connection and
 * then says nothing, their sockets stay open for good; ours can be destroyed.
 */
export class SocketCredentials extends ChannelCredentials {
  private readonly route: Route;
  private readonly sockets = new Set<Socket>();
  private destroyed = false;

  constructor(route: Route) {
    super();
    this.route = route;
  }

  /** Ends every connection made with these credentials, at whatever stage; there will be no further ones. */
  destroySockets(): void {
    this.destroyed = true;
    // TLS before the socket below it. In the other order Node (26.9) lets go of its native half at once; when an answer that
    // is just being read leads here, its garbage collector may free that half under the reader: a segmentation fault.
    for (const socket of [...this.sockets].reverse()) socket.destroy();
  }

  override _isSecure(): boolean {
    return this.route.endpoint.secure;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(): SecureConnector {
    return {
      connect: async (socket) => {
        this.keep(socket);
        if (!this.route.endpoint.secure) return { socket, secure: false };
        return { socket: await this.secure(socket), secure: true };
      },
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => credentials.createEmpty(),
      destroy: () => undefined,
    };
  }

  private async secure(socket: Socket): Promise<Socket> {
    const tls = startTls(socket, this.route);
    this.keep(tls);
    await new Promise<void>((resolve, reject) => {
      tls.once('secureConnect', resolve);
      tls.once('error', reject);
      tls.once('close', () => {
        reject(new Error('closed'));
      });
    });
    const distrust = distrustOf(tls, this.route);
    if (distrust === undefined) return tls;
    tls.destroy();
    throw new Error(distrust);
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    if (this.destroyed) socket.destroy();
    // gRPC listens while it uses the socket; an error after that must not end the process.
    socket.on('error', () => undefined);
  }
}
