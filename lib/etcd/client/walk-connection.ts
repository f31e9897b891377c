import { connect, isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Route } from './route.ts';
import { distrustOf, startTls } from './start-tls.ts';

/** How far a connection came, and what ended it there. */
export interface Walk {
  /** The step that failed or was never answered; `open`: etcd's HTTP/2 answered, all is well. */
  readonly step: 'lookup' | 'tcp' | 'tls' | 'http2' | 'open';
  /** The system's or OpenSSL's error; undefined: silence until the time was up, or the other side just hung up. */
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly hungUp?: boolean;
  /** What the other side said in place of HTTP/2, at most some bytes of it. */
  readonly said?: Buffer;
  /** Node's verdict over etcd's certificate, e.g. `CERT_HAS_EXPIRED`; undefined: good. */
  readonly distrust?: string | undefined;
  readonly peer?: PeerCertificate | undefined;
}

export interface PeerCertificate {
  readonly subject: string;
  readonly issuer: string;
  readonly validFrom: string;
  readonly validTo: string;
  /** e.g. `DNS:localhost, IP Address:127.0.0.1`. */
  readonly names: string;
}

/** RFC 9113 §3.4: what a client says first, with an empty SETTINGS frame. */
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
const SETTINGS_FRAME = 4;

/**
 * Walks the road to an endpoint step by step, over sockets of its own, to find out why gRPC gets no connection. Ends
 * within `timeoutMs`; resolves always, also when aborted.
 */
export function walkConnection(route: Route, timeoutMs: number, signal: AbortSignal): Promise<Walk> {
  const { host, port, secure, socketPath } = route.endpoint;
  return new Promise((resolve) => {
    let step: Walk['step'] = isIP(host) === 0 && socketPath === undefined ? 'lookup' : 'tcp';
    let seen: Pick<Walk, 'distrust' | 'peer'> = {};
    const tcp = connect(socketPath === undefined ? { host, port } : { path: socketPath });
    let tls: TLSSocket | undefined;
    const end = (how: Omit<Walk, 'step'>, at = step): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      tls?.destroy();
      tcp.destroy();
      resolve({ step: at, ...seen, ...how });
    };
    const stop = (): void => {
      end({});
    };
    const fail = (error: NodeJS.ErrnoException): void => {
      end({ error: firstOf(error) });
    };
    // After what has come meanwhile was looked at: this process may have been stopped itself.
    const timer = setTimeout(() => setImmediate(stop), Math.max(timeoutMs, 0));
    signal.addEventListener('abort', stop);

    const speakHttp2 = (socket: typeof tcp): void => {
      step = 'http2';
      socket.once('data', (said: Buffer) => {
        if (said[3] === SETTINGS_FRAME && said[0] === 0) end({}, 'open');
        else end({ said: said.subarray(0, 512) });
      });
      socket.once('end', () => {
        end({ hungUp: true });
      });
      socket.write(HTTP2_PREFACE);
    };
    tcp.on('error', fail);
    tcp.once('lookup', (error: Error | null) => {
      if (error === null) step = 'tcp';
    });
    tcp.once('close', () => {
      end({ hungUp: true });
    });
    tcp.once('connect', () => {
      if (!secure) {
        speakHttp2(tcp);
        return;
      }
      step = 'tls';
      const secured = (tls = startTls(tcp, route));
      secured.on('error', fail);
      secured.once('secureConnect', () => {
        // A TLS 1.3 server judges our certificate only after this.
        seen = { peer: peerOf(secured), distrust: distrustOf(secured, route) };
        if (seen.distrust !== undefined) end({});
        else speakHttp2(secured);
      });
    });
  });
}

function peerOf(tls: TLSSocket): PeerCertificate | undefined {
  const certificate = tls.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  return {
    subject: certificate.subject.replaceAll('\n', ', '),
    issuer: certificate.issuer.replaceAll('\n', ', '),
    validFrom: certificate.validFromDate.toISOString(),
    validTo: certificate.validToDate.toISOString(),
    names: certificate.subjectAltName ?? 'none',
  };
}

/** Several addresses of one name fail together: the first one's error speaks for all. */
function firstOf(error: NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] }): Walk['error'] {
  const one = error.errors?.[0] ?? error;
  return { code: one.code ?? error.code ?? 'unknown', message: one.message };
}
