import type { Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { GuardianError, reasonOf } from '../lib/guardian-error.ts';

/** Resolves to the port; rejects with `admission.listen`. */
export async function listen(server: Server, host: string | undefined, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen(port, host, () => {
    resolve(undefined);
  });
  try {
    await promise;
  } catch (error) {
    throw new GuardianError('admission.listen', `can't listen on ${host ?? ''}:${port}: ${reasonOf(error)}`, {
      hint: 'Choose another port, or stop what listens there.',
      cause: error,
    });
  }
  return (server.address() as AddressInfo).port;
}
