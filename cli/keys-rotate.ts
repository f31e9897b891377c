import { Command } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';
import { keySetText, keySetValue } from './key-figures.ts';
import { print } from './output.ts';
import { reporting, withReportOptions, type ReportOptions } from './report-options.ts';
import type { Session } from './session.ts';

interface RotateOptions extends ReportOptions {
  readonly keyFile?: string;
  readonly out: string;
}

export function keysRotateCommand(session: Session): Command {
  const command = new Command('rotate')
    .summary('make a key file with a new encryption key')
    .description(
      "Writes a key file that encrypts with a new key and still reads what the old ones encrypted. Signing key and recovery key stay, so the recovery file and pinned public keys stay good. The old key file can't read backups made from then on.",
    )
    .option('--key-file <file>', 'the key file in use (or $ETCDGUARDIAN_KEY_FILE)')
    .requiredOption('--out <file>', 'the key file to write');
  return withReportOptions(command).action(async (options: RotateOptions) => {
    const { formatKeyFile } = await import('../lib/encryption/key-file.ts');
    const { rotateEncryptionKey } = await import('../lib/encryption/keys.ts');
    const { keySetOfKeyFile } = await import('../lib/encryption/key-set.ts');
    const { loadKeyFile } = await import('../lib/encryption/load-keys.ts');
    const { writePrivateFile } = await import('../lib/encryption/private-file.ts');
    const { terminal, clock } = session;

    const file = options.keyFile ?? terminal.env.ETCDGUARDIAN_KEY_FILE;
    if (file === undefined || file === '') {
      throw new GuardianError('usage.key-file', 'no key file given', {
        hint: 'name it with --key-file FILE, or set $ETCDGUARDIAN_KEY_FILE',
      });
    }
    const rotated = rotateEncryptionKey(await loadKeyFile(file), clock());
    await writePrivateFile(options.out, formatKeyFile(rotated));

    const { description } = keySetOfKeyFile(rotated);
    const value = { keyFile: options.out, ...keySetValue(description) };
    print(terminal, reporting(session, options).format, value, () => keySetText(options.out, description));
    if (options.quiet !== true) {
      terminal.stderr.write(
        `\nGive ${options.out} to every machine in place of ${file}, then destroy that one.\n`,
      );
    }
  });
}
