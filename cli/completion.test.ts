import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command, Option } from 'commander';
import { hasCode } from '../lib/guardian-error.ts';
import { completionScript } from './completion.ts';

function program(): Command {
  const show = new Command('show')
    .summary("what's there")
    .option('-o, --all', 'everything')
    .addOption(new Option('--format <format>', 'how').choices(['json', 'yaml']))
    .addOption(new Option('--secret', 'for us').hideHelp());
  return new Command('tool').addCommand(new Command('backup').description('backups').addCommand(show));
}

test('bash gets each command’s words and each option’s values', () => {
  const script = completionScript(program(), 'bash');
  assert.match(script, /^ {4}""\) words="backup --help" ;;$/m);
  assert.match(script, /^ {4}"backup"\) words="show --help" ;;$/m);
  assert.match(script, /^ {4}"backup show"\) words="--all --format --help" ;;$/m);
  assert.match(script, /^ {4}--format\) words="json yaml" ;;$/m);
  assert.doesNotMatch(script, /secret/);
});

test('fish gets descriptions too, quoted', () => {
  const script = completionScript(program(), 'fish');
  assert.match(script, /-n '__fish_use_subcommand' -a backup -d 'backups'$/m);
  assert.match(
    script,
    /-n '__fish_seen_subcommand_from backup; and not __fish_seen_subcommand_from show' -a show -d 'what\\'s there'$/m,
  );
  assert.match(
    script,
    /__fish_seen_subcommand_from backup; and __fish_seen_subcommand_from show' -l format -r -a 'json yaml' -d 'how'$/m,
  );
  assert.doesNotMatch(script, /secret/);
});

test('zsh uses bash’s by its own loader', () => {
  const script = completionScript(program(), 'zsh');
  assert.ok(script.startsWith('#compdef etcdguardian\n'));
  assert.ok(script.endsWith(completionScript(program(), 'bash')));
});

test('other shells are refused', () => {
  assert.throws(
    () => completionScript(program(), 'tcsh'),
    (error) => hasCode(error, 'usage.shell') && error.hint === 'use one of bash, zsh, fish',
  );
});
