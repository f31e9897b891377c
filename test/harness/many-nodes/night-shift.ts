import { writeFile } from 'node:fs/promises';
import { CLUSTER } from '../../../lib/pki/installation.fixture.ts';
import { type GuardianCli, guardianCli } from '../guardian-cli.ts';
import type { ManyNodes } from './start-nodes.ts';

/** A person at a shell outside of the nodes, with an identity that agents obey, the store's credentials and its key. */
export interface NightShift {
  readonly cli: GuardianCli;
  /** Options that name the agents, and who calls them. */
  readonly agents: readonly string[];
  /** `restore cluster` with all that it needs; API servers are left alone. */
  readonly restore: readonly string[];
}

export async function nightShift({ folder, s3, nodes, controlPlaneFolder }: ManyNodes): Promise<NightShift> {
  const key = folder.join('guardian.key');
  await writeFile(key, Buffer.alloc(32, 7), { mode: 0o600 });
  const credentials = { AWS_ACCESS_KEY_ID: s3.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.secretAccessKey };
  // Also for what runs in this process.
  Object.assign(process.env, credentials);
  const agents = [
    ...nodes.flatMap(({ name, place }) => ['--agent', `${name}=${place.address}`]),
    ...['--credentials', controlPlaneFolder],
  ];
  const store = [
    ...['--store', 's3://backups/main', '--s3-endpoint', s3.endpoint, '--s3-region', s3.region],
    ...['--cluster', CLUSTER, '--key-file', key],
  ];
  return {
    cli: guardianCli(folder, credentials),
    agents,
    restore: ['restore', 'cluster', ...agents, ...store, '--no-quiesce'],
  };
}
