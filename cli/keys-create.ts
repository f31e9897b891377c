import { Command } from 'commander';
import { keySetText, keySetValue } from './key-figures.ts';
import { passphraseIn } from './passphrase-file.ts';
import { print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';

interface CreateOptions extends ReportOptions {
  readonly out: string;
  readonly recoveryOut: string;
  readonly recoveryPassphraseFile?: string;
  readonly label: string;
}

export function keysCreateCommand(session: Session): Command {
  const command = new Command('create')
    .summary('make a key file, and a recovery file to keep offline')
    .description(
      'Makes two files. The key file encrypts, signs and reads backups: give it to the machines that do that. The recovery file reads every backup, too; it is for the day when cluster and key file are gone, and must lie elsewhere until then. Existing files are never overwritten.',
    )
    .requiredOption('--out <file>', 'the key file to write')
    .requiredOption('--recovery-out <file>', 'the recovery file to write')
    .option(
      '--recovery-passphrase-file <file>',
      'encrypt the recovery file with the passphrase in the first line of this file',
    )
    .option('--label <text>', 'what these keys are for, e.g. the name of the cluster', 'etcd backups');
  return withReportOptions(command).action(async (options: CreateOptions) => {
    const { createKeys } = await import('../lib/encryption/keys.ts');
    const { keySetOfKeyFile } = await import('../lib/encryption/key-set.ts');
    const { writeKeyFiles } = await import('../lib/encryption/write-key-files.ts');
    const { terminal, clock } = session;

    const passphrase = passphraseIn(options.recoveryPassphraseFile);
    const made = await createKeys(options.label, clock());
    await writeKeyFiles(made, { keyFile: options.out, recoveryFile: options.recoveryOut, passphrase });

    const { description } = keySetOfKeyFile(made.keys);
    const value = { keyFile: options.out, recoveryFile: options.recoveryOut, ...keySetValue(description) };
    print(terminal, reporting(session, options).format, value, () => keySetText(options.out, description));
    if (options.quiet !== true) terminal.stderr.write(whatToDo(options, passphrase !== undefined));
  });
}

/** Said once, by whoever makes a recovery file. */
export function recoveryAdvice(recoveryFile: string, encrypted: boolean): string {
  const protection = encrypted
    ? 'It is encrypted: keep its passphrase apart from it, and just as safe.'
    : 'It is not encrypted: whoever finds it can read every backup.';
  return `Take ${recoveryFile} off this machine now: two copies, on paper or on a stick in a safe, none of them in the cluster
or in the bucket. When everything else is gone, it and the bucket are enough; without it, losing the key file means
losing every backup. ${protection}
`;
}

function whatToDo({ out, recoveryOut }: CreateOptions, encrypted: boolean): string {
  return `
${recoveryAdvice(recoveryOut, encrypted)}
Give ${out} to every machine that makes or reads backups (--key-file ${out}), and to nobody else.
Whoever shall only check signatures gets the public part: etcdguardian keys show --key-file ${out} --public
`;
}
