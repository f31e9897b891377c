import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { guardianCli } from '../../../test/harness/guardian-cli.ts';
import { KUBE_PROGRAMS, startKubeApiServer } from '../../../test/harness/kube-apiserver.ts';
import { runProgram } from '../../../test/harness/run-program.ts';
import { temporaryFolder } from '../../../test/harness/temporary-folder.ts';
import { needs, requireTool } from '../../../test/harness/tools.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const NAMESPACE = 'etcd-guardian-system';

test(
  'the service account of `helm test` may look at everything but Secrets',
  needs(...KUBE_PROGRAMS, 'helm'),
  async () => {
    await using folder = await temporaryFolder();
    const render = ['template', 'etcdguardian', join(ROOT, 'charts', 'etcdguardian'), '-n', NAMESPACE];
    const only = ['--kube-version', '1.36.0', '--show-only', 'templates/tests/doctor.yaml'];
    const rendered = (await runProgram(requireTool('helm'), [...render, ...only]))
      .split(/^---$/m)
      .filter((document) => !document.includes('kind: Pod\n'));
    await writeFile(folder.join('rbac.yaml'), rendered.join('---'));
    await using kube = await startKubeApiServer();
    await kube.kubectl('create', 'namespace', NAMESPACE);
    await kube.kubectl('apply', '--server-side', '-f', join(ROOT, 'manifests', 'crds'));
    await kube.kubectl('apply', '-f', folder.join('rbac.yaml'));

    const cli = guardianCli(folder, { KUBECONFIG: kube.kubeconfig });
    const account = `system:serviceaccount:${NAMESPACE}:etcdguardian-doctor`;
    const groups = ['system:serviceaccounts', 'system:authenticated'].flatMap((one) => ['--as-group', one]);
    const { stdout } = await cli.run([
      ...['kube', 'doctor', '--ignore-backups', '--as', account, ...groups, '--output', 'json'],
    ]);
    const { findings } = z
      .object({ findings: z.array(z.object({ check: z.string(), state: z.string() })) })
      .parse(JSON.parse(stdout));
    const unseen = findings.filter(({ state }) => state === 'unknown').map(({ check }) => check);
    assert.deepEqual(unseen, ['authority Secret', "webhook's certificate"]);
  },
);
