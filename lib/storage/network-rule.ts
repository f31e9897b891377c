import { lookup as systemLookup } from 'node:dns';
import { Agent as HttpAgent, type AgentOptions, type ClientRequestArgs } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions as HttpsAgentOptions } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { GuardianError } from '../guardian-error.ts';
import { type HostList, parseHostList } from '../host-list.ts';
import { type AddressKind, addressKind } from '../network-address.ts';

/** Where connections to a store may lead whose endpoint someone chose who may not choose any. */
export interface NetworkRule {
  /** Only addresses of the internet, and what `allowed` says. */
  readonly publicOnly: boolean;
  /**
   * As `parseHostList` takes them. A full name stands for wherever it leads inside the network; a network for its
   * addresses; a wildcard for public addresses only. No name leads to metadata services or link-local addresses.
   */
  readonly allowed: readonly string[];
}

/**
 * Agents that judge the very addresses that they connect to, after names were resolved: a name that meant something else
 * when it was looked at before, or has several addresses, gains nothing. Requests fail with `store.forbidden-address`.
 * Throws `settings.hosts`.
 */
export function guardedAgents(
  rule: NetworkRule,
  options: { readonly http: AgentOptions; readonly https: HttpsAgentOptions },
  resolve: LookupFunction = systemLookup,
): { readonly http: HttpAgent; readonly https: HttpsAgent } {
  const hosts = parseHostList(rule.allowed);
  const judge: Judge = (host, port, address) =>
    !rule.publicOnly || isAllowed(hosts, host, port, address) ? undefined : refused(host, address);
  class GuardedHttp extends HttpAgent {
    override createConnection(call: ClientRequestArgs, done?: Done): Duplex | null | undefined {
      return guarded(judge, resolve, call, done, (safe) => super.createConnection(safe, done));
    }
  }
  class GuardedHttps extends HttpsAgent {
    override createConnection(call: ClientRequestArgs, done?: Done): Duplex | null | undefined {
      return guarded(judge, resolve, call, done, (safe) => super.createConnection(safe, done));
    }
  }
  return { http: new GuardedHttp(options.http), https: new GuardedHttps(options.https) };
}

/** Undefined: it may be connected to. */
type Judge = (host: string, port: number, address: string) => GuardianError | undefined;
type Done = (error: Error | null, stream: Duplex) => void;

function guarded(
  judge: Judge,
  resolve: LookupFunction,
  call: ClientRequestArgs,
  done: Done | undefined,
  connect: (call: ClientRequestArgs) => Duplex | null | undefined,
): Duplex | null | undefined {
  const host = call.host ?? call.hostname ?? '';
  const port = Number(call.port);
  // Nobody looks an address up.
  const error = isIP(host) === 0 ? undefined : judge(host, port, host);
  if (error !== undefined) {
    // Node takes an error without a stream, which its types don't know.
    if (done !== undefined) queueMicrotask((done as (error: Error) => void).bind(undefined, error));
    return undefined;
  }
  return connect({ ...call, lookup: guardedLookup(judge, resolve, port) });
}

/** Leaves out what may not be connected to; with nothing left it fails. */
function guardedLookup(judge: Judge, resolve: LookupFunction, port: number): LookupFunction {
  return (host, options, callback) => {
    resolve(host, options, (error, found, family) => {
      if (error !== null) {
        callback(error, found, family);
        return;
      }
      const all = typeof found === 'string' ? [{ address: found, family: family ?? isIP(found) }] : found;
      const safe = all.filter(({ address }) => judge(host, port, address) === undefined);
      const [first] = safe;
      if (first === undefined) {
        const [worst] = all;
        callback(refused(host, worst?.address ?? ''), '');
      } else if (options.all === true) callback(null, safe);
      else callback(null, first.address, first.family);
    });
  };
}

function isAllowed(hosts: HostList, host: string, port: number, address: string): boolean {
  const kind = addressKind(address);
  if (kind === 'public' || hosts.holds(address)) return true;
  return kind !== undefined && WITHIN.has(kind) && hosts.names(host, port);
}

/** Networks of whoever runs this program, that a name may lead to if he said so. */
const WITHIN: ReadonlySet<AddressKind> = new Set(['private', 'shared', 'loopback']);

/** The address isn't told: it would show the inside of a network to whoever asks for names. */
function refused(host: string, address: string): GuardianError {
  const kind = addressKind(address) ?? 'no';
  return new GuardianError(
    'store.forbidden-address',
    `the store's endpoint ${host} leads to ${kind === 'no' ? 'no address' : `a ${kind} address`}, where this store may not be`,
    {
      hint: 'An administrator can allow it: by its full name, or by a network that holds its address.',
    },
  );
}
