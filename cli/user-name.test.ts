import assert from 'node:assert/strict';
import { test } from 'node:test';
import { userName } from './user-name.ts';

test('a user is called by name', () => {
  assert.equal(
    userName(() => ({ username: 'ada' })),
    'ada',
  );
});

test('a user without an entry in the system is called by number', () => {
  const noEntry = (): never => {
    throw new Error('A system error occurred: uv_os_get_passwd returned ENOENT');
  };
  assert.equal(userName(noEntry), `uid ${process.getuid?.() ?? 'unknown'}`);
});
