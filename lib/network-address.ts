import { BlockList, isIP } from 'node:net';

/**
 * Where an address leads. Only `public` ones are anybody's to name; the others are machines, networks and cloud accounts
 * of whoever runs this program.
 */
export type AddressKind =
  'public' | 'loopback' | 'private' | 'shared' | 'metadata' | 'link-local' | 'unspecified' | 'reserved';

/**
 * What kind an IPv4 or IPv6 address is; undefined for a text that is none. IPv4 in IPv6 (mapped, compatible, NAT64, 6to4)
 * is judged by the IPv4 address in it.
 */
export function addressKind(text: string): AddressKind | undefined {
  // A zone (`fe80::1%eth0`) says which interface, not where.
  const address = text.replace(/%.*$/, '');
  const family = isIP(address);
  if (family === 0) return undefined;
  if (family === 4) return kindAmong(IPV4, address, 'ipv4') ?? 'public';
  const inner = embeddedIpv4(address);
  if (inner !== undefined) return addressKind(inner);
  // Nothing else than 2000::/3 is in use in the internet (IANA's registry of IPv6 addresses).
  return kindAmong(IPV6, address, 'ipv6') ?? (GLOBAL.check(address, 'ipv6') ? 'public' : 'reserved');
}

/** IANA's registries of special addresses, and what clouds answer credentials at; the first that fits decides. */
const IPV4 = lists('ipv4', [
  // AWS, GCP, Azure and others; ECS tasks; EKS pod identity; Alibaba; Azure's WireServer, in the midst of public ones.
  ['metadata', ['169.254.169.254/32', '169.254.170.2/32', '169.254.170.23/32']],
  ['metadata', ['100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32']],
  ['unspecified', ['0.0.0.0/8']],
  ['loopback', ['127.0.0.0/8']],
  ['link-local', ['169.254.0.0/16']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']],
  ['shared', ['100.64.0.0/10']],
  ['reserved', ['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '198.18.0.0/15', '198.51.100.0/24']],
  // Multicast, and everything above it, broadcast included.
  ['reserved', ['203.0.113.0/24', '224.0.0.0/3']],
]);

const IPV6 = lists('ipv6', [
  // AWS, EKS pod identity, GCP.
  ['metadata', ['fd00:ec2::254/128', 'fd00:ec2::23/128', 'fd20:ce::254/128']],
  ['unspecified', ['::/128']],
  ['loopback', ['::1/128']],
  ['link-local', ['fe80::/10']],
  ['private', ['fc00::/7', 'fec0::/10']],
  // Teredo and ORCHID carry other addresses, documentation none.
  ['reserved', ['2001::/23', '2001:db8::/32', '3fff::/20', 'ff00::/8']],
]);

const GLOBAL = list('ipv6', ['2000::/3']);

type Lists = readonly (readonly [kind: AddressKind, list: BlockList])[];

function lists(
  family: 'ipv4' | 'ipv6',
  kinds: readonly (readonly [kind: AddressKind, networks: readonly string[]])[],
): Lists {
  return kinds.map(([kind, networks]) => [kind, list(family, networks)] as const);
}

function list(family: 'ipv4' | 'ipv6', networks: readonly string[]): BlockList {
  const all = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    all.addSubnet(address, Number(bits), family);
  }
  return all;
}

function kindAmong(all: Lists, address: string, family: 'ipv4' | 'ipv6'): AddressKind | undefined {
  return all.find(([, networks]) => networks.check(address, family))?.[0];
}

/** `::ffff:a.b.c.d`, `::a.b.c.d`, `64:ff9b::a.b.c.d` and 6to4's `2002:ab:cd::`. */
function embeddedIpv4(address: string): string | undefined {
  const words = ipv6Words(address);
  const [first, second = 0, third = 0] = words;
  const [high = 0, low = 0] = words.slice(6);
  if (first === 0x2002) return dotted(second, third);
  const zeros = (from: number, to: number): boolean => words.slice(from, to).every((word) => word === 0);
  const isMapped = zeros(0, 5) && words[5] === 0xffff;
  // `::` and `::1` are no IPv4 addresses.
  const isCompatible = zeros(0, 6) && (high !== 0 || low > 1);
  const isTranslated = first === 0x64 && second === 0xff9b && zeros(2, 6);
  return isMapped || isCompatible || isTranslated ? dotted(high, low) : undefined;
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** The eight 16-bit words of a valid IPv6 address. */
function ipv6Words(address: string): number[] {
  const words = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [front = '', back] = words.split('::');
  const parse = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => parseInt(word, 16));
  const [before, after] = [parse(front), parse(back ?? '')];
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}
