import assert from 'node:assert/strict';
import { chmod, mkdir, stat, symlink } from 'node:fs/promises';
import { test } from 'node:test';
import { temporaryFolder } from '../test/harness/temporary-folder.ts';
import { folderForCompiledCode } from './compiled-code.ts';

const uid = process.geteuid?.() ?? 0;

test('compiled code is kept in a home of our own, where only we can look', async () => {
  await using home = await temporaryFolder();
  const folder = home.join('.cache', 'etcdguardian');
  assert.equal(folderForCompiledCode({ HOME: home.path }, uid), folder);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  assert.equal(folderForCompiledCode({ HOME: home.path }, uid), folder);
});

test('XDG_CACHE_HOME goes before HOME', async () => {
  await using folder = await temporaryFolder();
  const env = { HOME: '/nowhere', XDG_CACHE_HOME: folder.path };
  assert.equal(folderForCompiledCode(env, uid), folder.join('etcdguardian'));
});

test('nothing is kept where another user can write, or is at home', async () => {
  await using home = await temporaryFolder();
  assert.equal(folderForCompiledCode({ HOME: home.path }, uid + 1), undefined);
  await chmod(home.path, 0o770);
  assert.equal(folderForCompiledCode({ HOME: home.path }, uid), undefined);
  await chmod(home.path, 0o700);
  await mkdir(home.join('.cache'));
  await chmod(home.join('.cache'), 0o777);
  assert.equal(folderForCompiledCode({ HOME: home.path }, uid), undefined);
});

test('nothing is kept behind a link in the home, nor where there is no home', async () => {
  await using home = await temporaryFolder();
  await mkdir(home.join('elsewhere'));
  await symlink(home.join('elsewhere'), home.join('.cache'));
  assert.equal(folderForCompiledCode({ HOME: home.path }, uid), undefined);
  assert.equal(folderForCompiledCode({ HOME: home.join('missing') }, uid), undefined);
  assert.equal(folderForCompiledCode({ HOME: '/proc' }, uid), undefined);
  assert.equal(folderForCompiledCode({ HOME: '' }, uid), undefined);
  assert.equal(folderForCompiledCode({}, uid), undefined);
});
