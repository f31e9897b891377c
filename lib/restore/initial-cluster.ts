import { GuardianError } from '../guardian-error.ts';

/** A member of the cluster to be, as `--initial-cluster` names it. */
export interface PlannedMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

/**
 * Members of `name=url,name=url,…`, in the order of their first mention; a name given twice has two URLs, as in etcd.
 * Throws `restore.initial-cluster` for what etcd would refuse at start.
 */
export function parseInitialCluster(text: string): PlannedMember[] {
  const members = new Map<string, string[]>();
  const owners = new Map<string, string>();
  for (const part of text.split(',').map((each) => each.trim())) {
    const equals = part.indexOf('=');
    if (equals <= 0) throw refused(`"${part}" is not NAME=PEER-URL`);
    const name = part.slice(0, equals);
    const url = peerUrl(part.slice(equals + 1), name);
    const owner = owners.get(url);
    if (owner !== undefined) throw refused(`${url} is given for ${owner} and for ${name}`);
    owners.set(url, name);
    members.set(name, [...(members.get(name) ?? []), url]);
  }
  return [...members].map(([name, peerUrls]) => ({ name, peerUrls }));
}

/** Peer URLs of one member, `url,url,…`. */
export function parsePeerUrls(text: string, name: string): string[] {
  return text.split(',').map((url) => peerUrl(url.trim(), name));
}

/** As etcd's own check: a scheme, a host, a port, and nothing after it. Kept as written, because ids hash it. */
function peerUrl(text: string, name: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw refused(`the peer URL "${text}" of ${name} is not http(s)://HOST:PORT`);
  }
  if (!/^https?:\/\/[^/]+:\d+$/.test(text)) {
    throw refused(`the peer URL "${text}" of ${name} must be HOST:PORT with nothing after the port`);
  }
  return text;
}

function refused(reason: string): GuardianError {
  return new GuardianError('restore.initial-cluster', `the initial cluster can't be: ${reason}`, {
    hint: 'write it as for etcd: --initial-cluster m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380',
  });
}
