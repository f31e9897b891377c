import { Command } from 'commander';
import path from 'node:path';
import { layCarrier } from '../lib/restore/drill/lay-carrier.ts';
import type { Session } from './session.ts';

export function drillCarrierCommand(session: Session): Command {
  return new Command('carrier')
    .summary('lay out what copies etcd and kube-apiserver out of their images')
    .description(
      `Copies this program's Node, with the loader and libraries that it needs, into a
folder. Mounted into a container of another image, which may have no shell, it
copies a program of that image:

  DIR/loader --library-path DIR/lib DIR/node DIR/copy-program.mts etcd TARGET

Drills in a cluster get the cluster's own programs this way.`,
    )
    .requiredOption('--into <dir>', 'the folder; made where it is missing')
    .action(async ({ into }: { readonly into: string }) => {
      await layCarrier(path.resolve(into));
      session.exitCode = 0;
    });
}
