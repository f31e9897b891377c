import { BlockList, isIP } from 'node:net';
import { GuardianError } from './guardian-error.ts';

/**
 * Hosts that an administrator allows: `minio.example.com`, `10.1.2.3`, `*.example.com` (names below it), `*` (every
 * name), `10.1.0.0/16`; a name or address may end in `:PORT` and then means that port only (`[fd00::1]:9000`).
 */
export interface HostList {
  /** Whether this host may be asked for at all: a name as it stands in a URL, or an address. */
  allows(host: string, port: number): boolean;
  /** Whether the host is there by its full name or address, so that its administrator vouches for where it leads. */
  names(host: string, port: number): boolean;
  /** Whether a network of the list holds this address. */
  holds(address: string): boolean;
}

/** Throws `settings.hosts` for an entry that is none of these. */
export function parseHostList(entries: readonly string[]): HostList {
  const networks = new BlockList();
  const hosts: Host[] = [];
  for (const entry of entries) {
    const [address = '', bits, rest] = entry.split('/');
    if (bits === undefined) hosts.push(parseHost(entry));
    else if (rest === undefined && isNetwork(address, bits))
      networks.addSubnet(address, Number(bits), familyOf(address));
    else throw wrongEntry(entry);
  }
  const holds = (address: string): boolean =>
    isIP(address) !== 0 && networks.check(address, familyOf(address));
  const names = (host: string, port: number): boolean => {
    const name = plainHost(host);
    return hosts.some((one) => one.suffix === undefined && one.name === name && fits(one, port));
  };
  return {
    names,
    holds,
    allows(host, port) {
      const name = plainHost(host);
      if (names(host, port) || holds(name)) return true;
      // A wildcard is for names: an address is listed as what it is.
      if (isIP(name) !== 0) return false;
      return hosts.some(
        ({ suffix, ...one }) => suffix !== undefined && name.endsWith(suffix) && fits(one, port),
      );
    },
  };
}

interface Host {
  readonly name: string;
  /** `.example.com` of `*.example.com`; empty of `*`. */
  readonly suffix: string | undefined;
  readonly port: number | undefined;
}

function parseHost(entry: string): Host {
  const [whole, bracketed, plain = '', port] =
    /^(?:\[([^\]]+)\]|([^:[\]]*|[^[\]]*::[^[\]]*))(?::(\d{1,5}))?$/.exec(entry) ?? [];
  const name = plain === '*.' ? '' : plainHost(bracketed ?? plain);
  const isAddress = isIP(name) !== 0;
  const isName = /^(\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)$/.test(name);
  // A number would be an address to some and a name to others.
  if (whole === undefined || !(isAddress || isName) || (!isAddress && /(^|\.)(\d+|0x[0-9a-f]*)$/.test(name)))
    throw wrongEntry(entry);
  return {
    name,
    suffix: name.startsWith('*') ? name.slice(1) : undefined,
    port: port === undefined ? undefined : Number(port),
  };
}

function fits({ port: allowed }: Pick<Host, 'port'>, port: number): boolean {
  return allowed === undefined || allowed === port;
}

/** As URLs write it, without brackets and without the dot that ends a full name. */
function plainHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}

function isNetwork(address: string, bits: string): boolean {
  const family = isIP(address);
  return family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

function wrongEntry(entry: string): GuardianError {
  return new GuardianError('settings.hosts', `"${entry}" is no host that can be allowed`, {
    hint: 'Write a name (minio.example.com), *.example.com, an address, or a network (10.1.0.0/16); a port may follow a name or an address.',
  });
}
