import { Command } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';
import { keySetText, keySetValue } from './key-figures.ts';
import { passphraseIn } from './passphrase-file.ts';
import { print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';

interface ShowOptions extends ReportOptions {
  readonly keyFile?: string;
  readonly keyPassphraseFile?: string;
  readonly public?: boolean;
}

export function keysShowCommand(session: Session): Command {
  const command = new Command('show')
    .summary('which keys a file holds, never the keys themselves')
    .description(
      'Shows what a key file, a recovery file or a bare AES key can do, by the ids that backups name their keys with. With --public it prints the public signing keys instead: all that is needed to check who made a backup, and nothing that opens one. Such a file serves as --key-file as well.',
    )
    .option('--key-file <file>', 'keys of any kind (or $ETCDGUARDIAN_KEY_FILE)')
    .option('--key-passphrase-file <file>', 'file with the passphrase of a recovery file')
    .option('--public', 'print the public signing keys in PEM');
  return withReportOptions(command).action(async (options: ShowOptions) => {
    const { loadKeys } = await import('../lib/encryption/load-keys.ts');
    const { terminal } = session;

    const file = options.keyFile ?? terminal.env.ETCDGUARDIAN_KEY_FILE;
    if (file === undefined || file === '') {
      throw new GuardianError('usage.key-file', 'no key file given', {
        hint: 'name it with --key-file FILE, or set $ETCDGUARDIAN_KEY_FILE',
      });
    }
    const { description } = await loadKeys({ file }, { passphrase: passphraseIn(options.keyPassphraseFile) });
    if (options.public === true) {
      terminal.stdout.write(description.keys.map(({ publicKey }) => publicKey ?? '').join(''));
      return;
    }
    const value = { file, ...keySetValue(description) };
    print(terminal, reporting(session, options).format, value, () => keySetText(file, description));
  });
}
