import { errorFields, errorText } from '../../../lib/log-lines.ts';
import type { ControlPlaneTools } from '../../tools.ts';

/** Where each API server says every ten seconds that it lives; Service `kubernetes` has the addresses of those that do. */
const PREFIX = '/registry/masterleases/';

/** What etcd holds there, by address: a renewed one has another value each time. */
export type MasterLeases = ReadonlyMap<string, string>;

/** Undefined where no agent of these nodes can look. */
export async function readMasterLeases(
  nodes: readonly string[],
  { agents, log }: Pick<ControlPlaneTools, 'agents' | 'log'>,
  signal: AbortSignal,
): Promise<MasterLeases | undefined> {
  for (const node of nodes) {
    try {
      const { items } = await agents
        .client(node)
        .readKeys({ keys: [], prefixes: [Buffer.from(PREFIX)] }, { signal });
      return new Map(
        items.map(({ key, value }) => [
          Buffer.from(key).toString('utf8').slice(PREFIX.length),
          Buffer.from(value).toString('base64'),
        ]),
      );
    } catch (error) {
      const text = `the agent of ${node} can't read ${PREFIX}: ${errorText(error)}`;
      log.write('warning', 'post-care', text, { node, ...errorFields(error) });
    }
  }
  return undefined;
}

/** Those that were neither renewed nor ended between two looks. */
export function staleLeases(first: MasterLeases, second: MasterLeases): string[] {
  return [...second].filter(([address, value]) => first.get(address) === value).map(([address]) => address);
}
