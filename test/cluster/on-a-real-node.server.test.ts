import { after, before, suite } from 'node:test';
import { type Cluster, startCluster } from '../harness/cluster/start-cluster.ts';
import { needsCluster } from '../harness/cluster/node-system.ts';
import { guardianArchive } from './guardian-archive.ts';
import { theNodeIsReal } from './the-node-is-real.ts';
import { theProductInstalled } from './the-product-installed.ts';

// One cluster for all of them: it costs more to start than they do.
suite('on a real node', { ...needsCluster(), concurrency: true }, () => {
  let cluster: Cluster | undefined;
  before(async () => {
    cluster = await startCluster({ images: guardianArchive() });
  });
  after(() => cluster?.[Symbol.asyncDispose]());
  const running = (): Cluster => {
    if (cluster === undefined) throw new Error('the cluster has not been started');
    return cluster;
  };

  suite('the node is real', { concurrency: true }, () => {
    theNodeIsReal(running);
  });
  suite('the product is installed', { concurrency: false }, () => {
    theProductInstalled(running);
  });
});
