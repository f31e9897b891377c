import { Command } from 'commander';
import { keysCreateCommand } from './keys-create.ts';
import { keysRecoverCommand } from './keys-recover.ts';
import { keysRotateCommand } from './keys-rotate.ts';
import { keysShowCommand } from './keys-show.ts';
import type { Session } from './session.ts';

export function keysCommand(session: Session): Command {
  return new Command('keys')
    .description('keys that encrypt and sign backups')
    .addCommand(keysCreateCommand(session))
    .addCommand(keysShowCommand(session))
    .addCommand(keysRecoverCommand(session))
    .addCommand(keysRotateCommand(session));
}
