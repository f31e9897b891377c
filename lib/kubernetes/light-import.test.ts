import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('a client is there without the library for kubeconfigs, which takes 80 MiB', () => {
  const url = join(import.meta.dirname, 'connect-kube.ts');
  const script = `import { registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) });
    await import(${JSON.stringify(url)});`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  const loaded = stdout.split('\n').filter((line) => line.startsWith('file:'));
  assert.ok(
    loaded.some((line) => line.endsWith('/kubeconfig-access.ts')),
    stderr,
  );
  assert.deepEqual(
    loaded.filter((line) => line.includes('/node_modules/@kubernetes/')),
    [],
  );
});
