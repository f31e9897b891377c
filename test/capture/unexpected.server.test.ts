import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectEtcd } from '../../lib/etcd/client/connect-etcd.ts';
import type { EtcdClient } from '../../lib/etcd/client/etcd-client.ts';
import { LocalStore } from '../../lib/storage/local-store.ts';
import { base64, callGateway } from '../harness/etcd-gateway.ts';
import { startEtcd } from '../harness/etcd.ts';
import { startLiveCapture } from '../harness/live-capture.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { needs } from '../harness/tools.ts';

/** Faults of our own in what runs beside watch and store; the first needs a lease that an event names. */
const faults: Readonly<Record<string, Partial<EtcdClient>>> = {
  'a question about a lease': { leaseTimeToLive: broken },
  'a list of leases': { leases: broken },
};

for (const [what, fault] of Object.entries(faults)) {
  test(
    `${what} that fails as nobody expected ends the capture in order, with that error`,
    needs('etcd 3.6.16'),
    async () => {
      await using folder = await temporaryFolder();
      await using etcd = await startEtcd();
      await using client = connectEtcd({ endpoints: [etcd.endpoint] });
      const unhandled: unknown[] = [];
      const note = (reason: unknown): number => unhandled.push(reason);
      process.on('unhandledRejection', note);
      try {
        const faulty: EtcdClient = Object.assign(Object.create(client) as EtcdClient, fault);
        await using capture = await startLiveCapture({
          ...{ endpoints: [etcd.endpoint], store: new LocalStore(folder.join('store')) },
          tools: { client: faulty },
        });
        const { ID: lease } = await callGateway(etcd, 'lease/grant', { TTL: 100 });
        await callGateway(etcd, 'kv/put', { key: base64('/a'), value: '', lease });
        await assert.rejects(capture.ended, { message: 'a fault of our own' });
        assert.equal(capture.status().state, 'stopped');
        assert.deepEqual(unhandled, []);
      } finally {
        process.off('unhandledRejection', note);
      }
    },
  );
}

function broken(): Promise<never> {
  return Promise.reject(new TypeError('a fault of our own'));
}
