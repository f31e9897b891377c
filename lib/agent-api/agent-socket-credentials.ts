import { ChannelCredentials, credentials as grpcCredentials } from '@grpc/grpc-js';
import type { Socket } from 'node:net';
import { connect as tls, type ConnectionOptions } from 'node:tls';

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/**
 * How gRPC's sockets become connections to an agent: by address, known by the identity in its certificate. They end when
 * told so, and remember why the last one failed, which gRPC doesn't tell.
 */
export class AgentSocketCredentials extends ChannelCredentials {
  private readonly options: ConnectionOptions;
  private readonly sockets = new Set<Socket>();
  private destroyed = false;
  /** What we found wrong with the agent. */
  failure: Error | undefined;

  constructor(options: ConnectionOptions) {
    super();
    this.options = options;
  }

  /** Ends every connection made with these credentials; there will be no further ones. */
  destroySockets(): void {
    this.destroyed = true;
    // TLS before the socket below it. In the other order Node (26.9) lets go of its native half at once; when an answer that
    // is just being read leads here, its garbage collector may free that half under the reader: a segmentation fault.
    for (const socket of [...this.sockets].reverse()) socket.destroy();
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(): SecureConnector {
    return {
      connect: async (socket) => ({ socket: await this.secure(socket), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => grpcCredentials.createEmpty(),
      destroy: () => undefined,
    };
  }

  private async secure(socket: Socket): Promise<Socket> {
    this.keep(socket);
    this.failure = undefined;
    const secured = tls({ ...this.options, socket, ALPNProtocols: ['h2'] });
    this.keep(secured);
    await new Promise<void>((resolve, reject) => {
      secured.once('secureConnect', resolve);
      secured.once('error', (error) => {
        this.failure = error;
        reject(error);
      });
      secured.once('close', () => {
        reject(new Error('it hung up during the TLS handshake'));
      });
    });
    return secured;
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    // gRPC listens while it uses the socket; an error after that must not end the process.
    socket.on('error', () => undefined);
    if (this.destroyed) socket.destroy();
  }
}
