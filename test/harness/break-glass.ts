import { type RestoreScene, startRestoreScene } from '../../agent/restore/restore-scene.fixture.ts';
import type { Authority } from '../../lib/pki/authority.ts';
import { saveCredentials } from '../../lib/pki/credential-folder.ts';
import { CLUSTER, credentialsFor, newAuthority } from '../../lib/pki/installation.fixture.ts';
import { backupAnswer } from './guardian-answers.ts';
import { type GuardianCli, guardianCli } from './guardian-cli.ts';
import { localStoreOptions } from './guardian-store.ts';

/** A node with its agent and no API server, and a person at a shell. */
export interface BreakGlass extends AsyncDisposable {
  readonly scene: RestoreScene;
  readonly cli: GuardianCli;
  /** Options that name the store. */
  readonly store: readonly string[];
  /** Options that name the agent, and an identity from the safe. */
  readonly agents: readonly string[];
  readonly backUp: (...options: readonly string[]) => Promise<void>;
}

/** With a backup in which `/registry/a` is `old`; now it is `new`. */
export async function breakGlass(): Promise<BreakGlass> {
  const authority: Authority = await newAuthority();
  const scene = await startRestoreScene({ pki: () => Promise.resolve({ authority, cluster: CLUSTER }) });
  try {
    const { folder, endpoint } = scene;
    const identity = { cluster: CLUSTER, role: 'break-glass', holder: 'night-shift' } as const;
    await saveCredentials(folder.join('break-glass'), await credentialsFor(authority, identity));
    const cli = guardianCli(folder);
    const store = [...localStoreOptions(folder), '--cluster', CLUSTER];
    const backUp: BreakGlass['backUp'] = async (...options) => {
      const create = ['backup', 'create', '--endpoints', endpoint, ...store, '--proof', 'off', ...options];
      await cli.json(backupAnswer, create);
    };
    await scene.put('/registry/a', 'old');
    await backUp();
    await scene.put('/registry/a', 'new');
    const agents = [
      ...['--agent', `node-1=${scene.agent.address}`],
      ...['--credentials', folder.join('break-glass')],
    ];
    return { scene, cli, store, agents, backUp, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
}
