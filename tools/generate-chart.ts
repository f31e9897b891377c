/**
 * Writes what follows from the Helm chart: the table of its values in its README, and `manifests/install.yaml`, the chart
 * with its defaults for those who don't use Helm. With `--check`, as in tests, it only tells what is out of step.
 */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { valuesTable } from './chart/values-table.ts';

const root = join(import.meta.dirname, '..');
const chart = join(root, 'charts', 'etcdguardian');
const helm = join(root, '.tools', 'helm-3.22.0', 'helm');
const TABLE = /(<!-- values -->\n)[\s\S]*(<!-- end of values -->)/;

const wanted = new Map([
  [join(chart, 'README.md'), await readme()],
  [join(root, 'manifests', 'install.yaml'), await installManifest()],
]);
const changed: string[] = [];
for (const [path, text] of wanted)
  if ((await readFile(path, 'utf8').catch(() => '')) !== text) changed.push(path);
if (process.argv.includes('--check')) {
  if (changed.length > 0) {
    const names = changed.map((path) => relative(root, path)).join(', ');
    process.stderr.write(
      `out of step with charts/etcdguardian: ${names}\nrun \`make generate\` and commit\n`,
    );
    process.exitCode = 1;
  }
} else {
  for (const path of changed) await writeFile(path, wanted.get(path) ?? '');
}

async function readme(): Promise<string> {
  const text = await readFile(join(chart, 'README.md'), 'utf8');
  const table = valuesTable(await readFile(join(chart, 'values.yaml'), 'utf8'));
  return text.replace(TABLE, (_, before: string, after: string) => `${before}\n${table}\n\n${after}`);
}

async function installManifest(): Promise<string> {
  const namespace = 'etcd-guardian-system';
  const { stdout } = await promisify(execFile)(
    helm,
    [
      ...['template', 'etcdguardian', chart, '--namespace', namespace, '--kube-version', '1.36.0'],
      ...['--api-versions', 'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy'],
      ...['--api-versions', 'flowcontrol.apiserver.k8s.io/v1/FlowSchema', '--skip-tests'],
    ],
    { maxBuffer: 64 * 1024 ** 2 },
  );
  const text = stdout
    .replaceAll(/^ *(# Source: .*|app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/.*)\n/gm, '')
    .replaceAll(/^( +)annotations:\n(?!\1 )/gm, '');
  return `# EtcdGuardian with the chart's defaults, for kubectl apply --server-side -f. Written by \`make generate\`.
apiVersion: v1
kind: Namespace
metadata:
  name: ${namespace}
${text}`;
}
