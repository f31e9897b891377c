import { GuardianError, type GuardianErrorDetails } from '../../guardian-error.ts';
import type { Route } from './route.ts';
import type { Identity } from './tls-material.ts';
import type { PeerCertificate, Walk } from './walk-connection.ts';

/**
 * Why there is no connection, in words for whoever has to mend it; undefined when the walk found nothing wrong.
 * `timeoutMs` is the limit that a silent endpoint exceeded.
 */
export function connectionFailure(
  route: Route,
  walk: Walk,
  timeoutMs: number,
  now: Date,
): GuardianError | undefined {
  const { url, secure } = route.endpoint;
  if (walk.step === 'open') return undefined;
  if (walk.distrust !== undefined) return distrusted(route, walk.distrust, walk.peer);
  if (walk.said !== undefined) return otherProtocol(url, walk.said);
  if (walk.error === undefined && walk.hungUp !== true) return silence(url, walk.step, timeoutMs);
  if (walk.step === 'lookup') return noSuchName(route, walk.error?.code);
  if (walk.step === 'tcp') return noTcp(route, walk);
  return secure ? tlsBrokenOff(route, walk, now) : plainBrokenOff(url, walk);
}

function distrusted(route: Route, verdict: string, peer: PeerCertificate | undefined): GuardianError {
  const { url, host } = route.endpoint;
  const whose =
    peer === undefined ? 'its certificate' : `its certificate (${peer.subject}, issued by ${peer.issuer})`;
  if (verdict === 'CERT_HAS_EXPIRED') {
    return tlsError(
      `${url}: ${whose} expired, or one of its chain did; it ends ${peer?.validTo ?? 'in the past'}`,
      "renew etcd's server certificate (kubeadm: kubeadm certs renew etcd-server), then restart etcd",
    );
  }
  if (verdict === 'CERT_NOT_YET_VALID') {
    return tlsError(
      `${url}: ${whose} is not valid before ${peer?.validFrom ?? 'a later time'}`,
      'compare the clocks of this machine and of the one that issued it',
    );
  }
  if (verdict === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return tlsError(
      `${url}: ${whose} is not for ${route.serverName ?? host}, but for ${peer?.names ?? 'others'}`,
      'use a name or address that the certificate carries, or say which name to expect (--tls-server-name)',
    );
  }
  return tlsError(
    `${url}: ${whose} is not signed by ${route.material.ca === undefined ? "this system's authorities" : 'the CA given'} (${verdict})`,
    `give the CA that signed it (kubeadm: /etc/kubernetes/pki/etcd/ca.crt)${complaintOf(route)}`,
  );
}

function otherProtocol(url: string, said: Buffer): GuardianError {
  // A TLS record of type alert, or what Go's HTTPS server says to plain HTTP.
  if (said[0] === 0x15 || said.includes('HTTPS server')) return wantsTls(url);
  const shown = JSON.stringify(said.toString('latin1').split(/\r?\n/, 1)[0]?.slice(0, 80));
  return new GuardianError('etcd.protocol', `${url} is not etcd's client port: it answers ${shown}`, {
    hint: 'use the client port (2379 by default), not the peer port (2380) or the metrics port (2381)',
  });
}

function silence(url: string, step: Walk['step'], timeoutMs: number): GuardianError {
  const [what, hint] = SILENCE[step];
  return new GuardianError(
    'etcd.connect-timeout',
    `no connection to ${url} within ${timeoutMs} ms: ${what}`,
    {
      hint,
      retryable: true,
    },
  );
}

const SILENCE: Readonly<Record<Walk['step'], readonly [what: string, hint: string]>> = {
  lookup: ['its name is not resolved', 'check the DNS of the machine this runs on'],
  tcp: ['nothing answers', 'check the address; the machine may be down, or a firewall swallows the packets'],
  tls: [
    'TCP connects, but TLS is not answered',
    'the member hangs, or waits for a quorum of its cluster since it started (its log says so), or what holds that port is not etcd',
  ],
  http2: [
    'it connects, but etcd does not answer',
    'the member hangs (its disk?), or what holds that port is not etcd',
  ],
  open: ['it answers, but too late', 'the member or the network is overloaded'],
};

function noSuchName(route: Route, code = 'no answer'): GuardianError {
  const { url, host } = route.endpoint;
  return new GuardianError('etcd.dns', `${url}: the name ${host} can't be resolved (${code})`, {
    hint: 'check the spelling, and the DNS of the machine this runs on',
    retryable: code !== 'ENOTFOUND',
  });
}

function noTcp(route: Route, walk: Walk): GuardianError {
  const { url, port } = route.endpoint;
  if (walk.error?.code === 'ECONNREFUSED') {
    return new GuardianError('etcd.refused', `${url} refuses the connection: nothing listens there`, {
      hint: `is etcd running, and does it listen for clients on that address and port ${port} (--listen-client-urls)?`,
      retryable: true,
    });
  }
  return new GuardianError(
    'etcd.unreachable',
    `${url} can't be reached (${walk.error?.message ?? 'it hangs up'})`,
    {
      hint: 'check the network, routes and firewalls between this machine and the member',
      retryable: true,
    },
  );
}

/** Everything after etcd's certificate pleased us is about ours; its alerts are those of Go's crypto/tls. */
function tlsBrokenOff(route: Route, walk: Walk, now: Date): GuardianError {
  const { url } = route.endpoint;
  const code = walk.error?.code ?? '';
  const { identity } = route.material;
  const alert = code.includes('_ALERT_');
  if (walk.peer === undefined && !alert) {
    return tlsError(
      `${url} breaks TLS off at the first word (${code === '' ? 'it hangs up' : code})`,
      'it may speak plain http: try http://, and see --listen-client-urls of etcd',
      { retryable: true },
    );
  }
  if (code.endsWith('_ALERT_INTERNAL_ERROR')) {
    // Go's answer when etcd, which reads its files at each handshake, finds no pair that fits: they may be half-written.
    return tlsError(
      `${url} can't speak TLS now: it has an internal error`,
      "try again; if it stays, look at etcd's log and at the files of its --cert-file and --key-file",
      { retryable: true },
    );
  }
  if (identity === undefined && alert) {
    return tlsError(
      `${url} wants a client certificate`,
      'give one that etcd trusts (kubeadm: /etc/kubernetes/pki/etcd/healthcheck-client.crt or server.crt, and its key)',
    );
  }
  if (identity !== undefined && alert) return ourCertificateRefused(route, identity, code, now);
  return tlsError(
    `${url} broke off after TLS was set up (${code === '' ? 'it hung up' : code})`,
    'try again',
    {
      retryable: true,
    },
  );
}

function ourCertificateRefused(route: Route, identity: Identity, code: string, now: Date): GuardianError {
  const { url } = route.endpoint;
  const { subject, issuer, validFromDate, validToDate } = identity.certificate;
  const ours = `our client certificate (${oneLine(subject)}, issued by ${oneLine(issuer)}, from ${identity.source})`;
  if (validToDate < now || code.endsWith('CERTIFICATE_EXPIRED')) {
    return tlsError(
      `${url} refuses ${ours}: it ended ${validToDate.toISOString()}`,
      `renew it${complaintOf(route)}; if it is still good, compare the clocks of both machines`,
    );
  }
  if (validFromDate > now) {
    return tlsError(
      `${url} refuses ${ours}: it is not valid before ${validFromDate.toISOString()}`,
      'compare the clocks of this machine and of the one that issued it',
    );
  }
  if (code.endsWith('UNKNOWN_CA')) {
    return tlsError(
      `${url} refuses ${ours}: etcd doesn't trust its issuer`,
      `use one signed by the CA of etcd's --trusted-ca-file${complaintOf(route)}`,
    );
  }
  return tlsError(
    `${url} refuses ${ours}: ${code.replace(/^ERR_SSL_|_ALERT/g, '').toLowerCase()}`,
    `use one for clients, signed by the CA of etcd's --trusted-ca-file${complaintOf(route)}`,
  );
}

function plainBrokenOff(url: string, walk: Walk): GuardianError {
  // What etcd does to plain HTTP/2 when it listens with TLS only; one that goes down can't be told from that.
  if (walk.hungUp === true) return wantsTls(url, true);
  return new GuardianError(
    'etcd.unreachable',
    `${url} broke the connection off (${walk.error?.message ?? ''})`,
    {
      hint: 'it may be going down, or want TLS: try https://',
      retryable: true,
    },
  );
}

function wantsTls(url: string, retryable = false): GuardianError {
  return tlsError(
    `${url} hangs up on plain http: most likely it wants TLS`,
    "write https:// and give the CA (and a client certificate) that go with etcd's",
    { retryable },
  );
}

function tlsError(message: string, hint: string, details: GuardianErrorDetails = {}): GuardianError {
  return new GuardianError('etcd.tls', message, { hint, ...details });
}

function complaintOf({ complaint }: Route): string {
  return complaint === undefined ? '' : `; newer files were not taken: ${complaint}`;
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
