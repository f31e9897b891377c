import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { needs, requireTool } from '../../test/harness/tools.ts';
import { guardianImage, launcherSettings } from './guardian-image.ts';

const project = join(import.meta.dirname, '..', '..');
const made = (): ReturnType<typeof guardianImage> => {
  const system = join(requireTool('nsenter', '2.36'), '..', 'root');
  return guardianImage({ project, node: process.execPath, system }, 'localhost/etcdguardian:test');
};
const withSystem = needs('nsenter 2.36');

test('the image starts Node as bin/etcdguardian does', async () => {
  const launcher = await readFile(join(project, 'bin', 'in-image.cjs'), 'utf8');
  const first = /^#!\/usr\/local\/bin\/node (.*)\n/.exec(launcher)?.[1];
  const later = [...launcher.matchAll(/setFlagsFromString\('(.*)'\)/g)].map(([, flag]) => flag);
  assert.deepEqual([first, ...later], launcherSettings(project).flags);
});

test('Containerfile makes an image with the same settings, and the same Node', withSystem, async () => {
  const text = await readFile(join(project, 'Containerfile'), 'utf8');
  const { run } = made();
  const env = /^ENV ((?:.*\\\n)*.*)$/m.exec(text)?.[1]?.split(/\s*\\\n\s*/);
  assert.deepEqual(env, run.Env);
  assert.equal(/^USER (.*)$/m.exec(text)?.[1], run.User);
  assert.deepEqual(JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)?.[1] ?? ''), run.Entrypoint);
  const node = await readFile(join(project, '.node-version'), 'utf8');
  assert.equal(/^FROM node:([\d.]+)-/m.exec(text)?.[1], node.trim());
});

test('the image holds what the program runs with, and nothing that only tests use', withSystem, () => {
  const paths = made().layers.flatMap((layer) => layer.map(({ path }) => path));
  const has = (path: string): boolean => paths.includes(path);
  assert.equal(has('opt/etcdguardian/cli/main.ts'), true);
  assert.equal(has('opt/etcdguardian/proto/agent/agent.proto'), true);
  assert.equal(has('opt/etcdguardian/node_modules/zod/package.json'), true);
  assert.equal(has('usr/bin/nsenter'), true);
  const unwanted = /\.test\.ts$|\.fixture\.ts$|node_modules\/(typescript|eslint|@aws-crypto\/client-node)\//;
  assert.deepEqual(paths.filter((path) => unwanted.test(path)).slice(0, 3), []);
  assert.deepEqual(
    paths.filter((path) => /(^|\/)(sh|bash|busybox|apt|dpkg|npm)$/.test(path)),
    [],
  );
});
