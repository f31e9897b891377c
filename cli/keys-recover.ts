import { Command } from 'commander';
import { keySetText, keySetValue } from './key-figures.ts';
import { recoveryAdvice } from './keys-create.ts';
import { passphraseIn } from './passphrase-file.ts';
import { print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';

interface RecoverOptions extends ReportOptions {
  readonly recoveryKey: string;
  readonly recoveryPassphraseFile?: string;
  readonly out: string;
  readonly recoveryOut: string;
}

export function keysRecoverCommand(session: Session): Command {
  const command = new Command('recover')
    .summary('make a key file out of a recovery file')
    .description(
      "For when the key file is lost. The new key file reads every backup from before and makes new ones, with a new encryption key and a new signing key, as nobody knows who has the lost ones. The new recovery file replaces the old one: it knows the new signing key. Only to restore, this isn't needed: give the recovery file to restore as --key-file.",
    )
    .requiredOption('--recovery-key <file>', 'the recovery file')
    .option(
      '--recovery-passphrase-file <file>',
      'file with its passphrase, which will also be that of the new one',
    )
    .requiredOption('--out <file>', 'the key file to write')
    .requiredOption('--recovery-out <file>', 'the recovery file to write');
  return withReportOptions(command).action(async (options: RecoverOptions) => {
    const { recoverKeys } = await import('../lib/encryption/keys.ts');
    const { keySetOfKeyFile } = await import('../lib/encryption/key-set.ts');
    const { loadRecoveryFile } = await import('../lib/encryption/load-keys.ts');
    const { writeKeyFiles } = await import('../lib/encryption/write-key-files.ts');
    const { terminal, clock } = session;

    const passphrase = passphraseIn(options.recoveryPassphraseFile);
    const lost = await loadRecoveryFile(options.recoveryKey, passphrase);
    const made = recoverKeys(lost, clock());
    await writeKeyFiles(made, { keyFile: options.out, recoveryFile: options.recoveryOut, passphrase });

    const { description } = keySetOfKeyFile(made.keys);
    const value = { keyFile: options.out, recoveryFile: options.recoveryOut, ...keySetValue(description) };
    print(terminal, reporting(session, options).format, value, () => keySetText(options.out, description));
    if (options.quiet !== true) terminal.stderr.write(whatToDo(options, passphrase !== undefined));
  });
}

function whatToDo({ recoveryKey, recoveryOut }: RecoverOptions, encrypted: boolean): string {
  return `
${recoveryAdvice(recoveryOut, encrypted)}
Destroy ${recoveryKey} once the new one is in its place: it opens the same backups, but doesn't know who signs them now.
`;
}
