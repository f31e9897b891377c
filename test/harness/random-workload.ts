import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import type { KeptHash } from '../../lib/repository/read-segments.ts';
import { base64, callGateway } from './etcd-gateway.ts';
import type { Etcd } from './etcd.ts';
import { eventually } from './eventually.ts';
import type { SeededRandom } from './seeded-random.ts';

const LONG_TTL = 3600;
const SHORT_TTL = 1;

/**
 * Whatever clients do to an etcd, at random: puts, deletions of one key and of ranges, transactions of both, leases that
 * are granted, revoked, kept alive or left to expire.
 */
export class RandomWorkload {
  static readonly KEPT_ALIVE_TTL = 5;

  /** A lease whose TTL is over many times before the workload ends; key `/kept-alive` is under it. */
  keptAlive = '';
  private readonly etcd: Etcd;
  private readonly random: SeededRandom;
  private readonly leases: string[] = [];
  private revision = 1n;
  private compacted = -1n;

  constructor(etcd: Etcd, random: SeededRandom) {
    this.etcd = etcd;
    this.random = random;
  }

  async run(steps: number): Promise<void> {
    if (this.keptAlive === '') await this.begin();
    for (let step = 0; step < steps; step++) {
      await this.keepAlive();
      const answer = await this.step();
      if (answer.header?.revision !== undefined) this.revision = BigInt(answer.header.revision);
    }
  }

  /** Puts keys under short leases and waits until both are gone. */
  async expireLeases(): Promise<void> {
    const keys = ['/short/1', '/short/2', this.key()];
    await putUnderShortLease(this.etcd, keys, SHORT_TTL);
    await eventually('the lease expires', async () => {
      await this.keepAlive();
      const { kvs } = await this.call('kv/range', { key: base64('/short/1') });
      return kvs === undefined;
    });
  }

  /** Compacts up to a revision between the last compaction and now; gives back the hash that the member keeps of it. */
  async compact(client: EtcdClient): Promise<KeptHash[]> {
    const from = this.compacted > 0n ? Number(this.compacted) + 1 : 2;
    const at = BigInt(this.random.integer(from, Number(this.revision) + 1));
    await this.call('kv/compaction', { revision: String(at), physical: true });
    const before = this.compacted;
    this.compacted = at;
    // It keeps none, and refuses to compute one.
    if (this.etcd.version === '3.4.23') return [];
    const kept = await eventually('the hash of the compaction', async () => {
      const answer = await client.hashKV(this.etcd.endpoint, at);
      return answer.compactRevision === before && answer;
    });
    const { hash, compactRevision, header } = kept;
    return [{ hash, revision: at, compactRevision, memberId: header.memberId }];
  }

  /** Grants the kept lease anew, with its key, when the machine stood still for so long that it was lost. */
  async keep(): Promise<void> {
    const { result } = (await this.keepAlive()) as { result?: { TTL?: string } };
    if (result?.TTL === undefined) await this.grantKept();
  }

  /** Ends the kept lease, and its key with it. */
  async endKept(): Promise<void> {
    await this.keep();
    await this.call('lease/revoke', { ID: this.keptAlive });
  }

  private async grantKept(): Promise<void> {
    this.keptAlive = await this.grant(RandomWorkload.KEPT_ALIVE_TTL);
    await this.call('kv/put', { key: base64('/kept-alive'), value: base64('x'), lease: this.keptAlive });
  }

  private async begin(): Promise<void> {
    await this.grantKept();
    for (let number = 0; number < 3; number++) this.leases.push(await this.grant(LONG_TTL + number));
    // Also while the test does something else, however long that takes.
    const keeping = setInterval(() => {
      if (isRunning(this.etcd)) this.keepAlive().catch(() => undefined);
      else clearInterval(keeping);
    }, 500).unref();
  }

  private async step(): Promise<{ header?: { revision?: string } }> {
    const { random } = this;
    switch (random.integer(0, 10)) {
      case 0:
        return this.call('kv/deleterange', { key: base64(this.key()) });
      case 1: {
        const from = `/k/${random.integer(0, 10)}`;
        return this.call('kv/deleterange', { key: base64(from), range_end: base64(`${from}~`) });
      }
      case 2:
      case 3: {
        const keys = new Set(Array.from({ length: random.integer(1, 12) }, () => this.key()));
        const success = [...keys].map((key) =>
          random.integer(0, 3) === 0
            ? { request_delete_range: { key: base64(key) } }
            : { request_put: this.put(key) },
        );
        return this.call('kv/txn', { success });
      }
      case 4: {
        const lease = this.leases.splice(random.integer(0, this.leases.length), 1)[0];
        this.leases.push(await this.grant(LONG_TTL));
        return this.call('lease/revoke', { ID: lease });
      }
      default:
        return this.call('kv/put', this.put(this.key()));
    }
  }

  private put(key: string): object {
    const { random } = this;
    const lease = random.integer(0, 4) === 0 ? { lease: random.pick(this.leases) } : {};
    return {
      key: base64(key),
      value: base64(random.bytes(random.pick([0, 1, 40, 900, 5000, 20_000]))),
      ...lease,
    };
  }

  private key(): string {
    return `/k/${this.random.integer(0, 50)}`;
  }

  private async grant(ttl: number): Promise<string> {
    return String((await this.call('lease/grant', { TTL: ttl })).ID);
  }

  private async keepAlive(): ReturnType<typeof callGateway> {
    return this.call('lease/keepalive', { ID: this.keptAlive });
  }

  private async call(path: string, request: object): ReturnType<typeof callGateway> {
    return callGateway(this.etcd, path, request);
  }
}

/** The lease may be over before the keys are there, on a loaded machine: then there is another one. */
export async function putUnderShortLease(etcd: Etcd, keys: readonly string[], ttl: number): Promise<void> {
  await eventually('the keys are under a short lease', async () => {
    const { ID: lease } = await callGateway(etcd, 'lease/grant', { TTL: ttl });
    const puts = keys.map((key) => ({ request_put: { key: base64(key), value: base64('x'), lease } }));
    await callGateway(etcd, 'kv/txn', { success: puts });
    return true;
  });
}

function isRunning(etcd: Etcd): boolean {
  try {
    return etcd.pid > 0;
  } catch {
    return false;
  }
}
