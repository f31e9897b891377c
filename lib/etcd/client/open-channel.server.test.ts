import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { startEtcd } from '../../../test/harness/etcd.ts';
import { needs } from '../../../test/harness/tools.ts';
import { parseEndpoint } from './endpoint.ts';
import { openChannel } from './open-channel.ts';
import type { Route } from './route.ts';

test(
  'a channel that is retired stays open for the calls that run, and closes with the last one',
  needs('etcd 3.6.16'),
  async () => {
    await using etcd = await startEtcd();
    const route: Route = {
      endpoint: parseEndpoint(etcd.endpoint, false),
      material: { ca: undefined, identity: undefined },
      serverName: undefined,
      insecureSkipVerify: false,
      complaint: undefined,
    };
    const settings = { connectTimeoutMs: 60_000, flowControlWindow: 1 << 20, keepalive: true };
    const channel = await openChannel(route, settings, new AbortController().signal);
    try {
      const ends = [channel.begin(), channel.begin()];
      channel.retire();
      for (const end of ends) {
        await turn();
        await turn();
        assert.equal(channel.isReady(), true);
        end();
      }
      await turn();
      assert.equal(channel.isReady(), false);
    } finally {
      channel.destroy();
    }
  },
);
