import { after, before, suite } from 'node:test';
import { type Cluster, startCluster } from '../harness/cluster/start-cluster.ts';
import { needsCluster } from '../harness/cluster/node-system.ts';
import { aDrillIsHeld } from './a-drill-is-held.ts';
import { beforeTheInstallation } from './before-the-installation.ts';
import { guardianArchive } from './guardian-archive.ts';
import { namespacesComeBack } from './namespaces-come-back.ts';
import { permissionsAreUsed, STORY_AUDIT } from './permissions-are-used.ts';
import { schedulesGoOn, schedulesRun } from './schedules-go-on.ts';
import { type Story, startStory } from './story.ts';
import { theClusterComesBack, theClusterIsLookedAfter } from './the-cluster-comes-back.ts';
import { theInstallationChanges } from './the-installation-changes.ts';
import { theNodeIsReal } from './the-node-is-real.ts';
import { theProductInstalled } from './the-product-installed.ts';

// One cluster for all of them: it costs more to start than they do.
suite('on a real node', { ...needsCluster(), concurrency: true }, () => {
  const stack = new AsyncDisposableStack();
  let cluster: Cluster | undefined;
  let story: Story | undefined;
  before(async () => {
    cluster = stack.use(await startCluster({ images: guardianArchive(), auditPolicy: STORY_AUDIT }));
    story = stack.use(await startStory(cluster));
  });
  after(() => stack.disposeAsync());
  const running = (): Cluster => started(cluster);
  const told = (): Story => started(story);

  suite('the node is real', { concurrency: true }, () => {
    theNodeIsReal(running);
  });
  suite('the story of an installation', { concurrency: false }, () => {
    const before = beforeTheInstallation(told);
    before.backedUp();
    theProductInstalled(told);
    namespacesComeBack(told);
    aDrillIsHeld(told);
    theInstallationChanges(told);
    schedulesRun(told);
    theClusterComesBack(told);
    schedulesGoOn(told);
    theClusterIsLookedAfter(told);
    before.wentBack();
    permissionsAreUsed(told);
  });
});

function started<T>(what: T | undefined): T {
  if (what === undefined) throw new Error('the cluster has not been started');
  return what;
}
