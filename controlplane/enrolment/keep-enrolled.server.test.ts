import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { keepEnrolled, type EnrolmentSettings } from '../../agent/enrol/keep-enrolled.ts';
import { systemClock } from '../../lib/clock.ts';
import { createAuthority } from '../../lib/pki/authority.ts';
import { trustPem } from '../../lib/pki/authority-bundle.ts';
import { saveCredentials } from '../../lib/pki/credential-folder.ts';
import { credentialsFor } from '../../lib/pki/installation.fixture.ts';
import { peerIdentity } from '../../lib/pki/peer-identity.ts';
import { eventually } from '../../test/harness/eventually.ts';
import { KUBE_PROGRAMS } from '../../test/harness/kube-apiserver.ts';
import { temporaryFolder } from '../../test/harness/temporary-folder.ts';
import { needs } from '../../test/harness/tools.ts';
import { NAMESPACE, recordedLog } from '../installation.fixture.ts';
import { type EnrolmentScene, enrolmentScene } from './enrolment-scene.fixture.ts';

const stack = new AsyncDisposableStack();
after(() => stack.disposeAsync());
let started: Promise<EnrolmentScene> | undefined;
function scene(): Promise<EnrolmentScene> {
  started ??= enrolmentScene(stack);
  return started;
}

test(
  'an agent enrols when trust comes, keeps what it has, renews in time, and follows a rotation',
  needs(...KUBE_PROGRAMS),
  async () => {
    const { it, port, keeper } = await scene();
    await using folder = await temporaryFolder();
    const pod = await it.addAgentPod({ node: 'node-9' });
    const settings: EnrolmentSettings = {
      url: `https://127.0.0.1:${port}/enrol`,
      ...{ trustFile: folder.join('ca.crt'), tokenFile: folder.join('token') },
      ...{ credentialsDir: folder.join('credentials'), node: 'node-9' },
    };
    // Days ahead until the certificate on disk is another than this one: by such a clock every one is to be renewed.
    const ahead: { of?: string } = {};
    const clock = (): Date => {
      const isAhead =
        ahead.of !== undefined && readFileSync(join(settings.credentialsDir, 'tls.crt'), 'utf8') === ahead.of;
      return new Date(Date.now() + (isAhead ? 6 * 86_400_000 : 0));
    };
    const agent = recordedLog();
    const stop = new AbortController();
    const fast = { clock, log: agent.log, random: () => 1, lookMs: 20, retryMs: 20 };
    const enrolling = keepEnrolled(settings, fast, stop.signal);
    await eventually('it says what it waits for', () =>
      agent.lines.some(({ event }) => event === 'not-enrolled'),
    );

    const { bundle } = keeper;
    assert.ok(bundle);
    await writeFile(settings.trustFile, trustPem(bundle));
    await writeFile(settings.tokenFile, await it.tokenOf(pod));
    await using kept = await enrolling;
    const first = await kept.credentials.current();
    assert.deepEqual(peerIdentity(first.certificate), { cluster: it.cluster, role: 'agent', node: 'node-9' });
    const { mode } = await stat(folder.join('credentials', 'tls.key'));
    assert.equal(mode & 0o777, 0o600);

    // An agent that starts with no control plane has what is on its disk.
    {
      const nobody = { ...settings, url: 'https://127.0.0.1:1/enrol' };
      await using again = await keepEnrolled(nobody, fast, stop.signal);
      assert.equal((await again.credentials.current()).cert, first.cert);
    }

    // Two thirds of its life are over.
    ahead.of = await readFile(join(settings.credentialsDir, 'tls.crt'), 'utf8');
    const second = await eventually('it renews', async () => {
      const current = await kept.credentials.current();
      return current.cert !== first.cert && current;
    });
    assert.ok(!createPublicKey(second.key).equals(createPublicKey(first.key)), 'with another key');

    // A new authority is made known, and then signs alone.
    const next = await createAuthority(bundle.signer.scope, new Date());
    await writeFile(
      settings.trustFile,
      trustPem({ signer: bundle.signer, next: { authority: next, introduced: new Date() }, retired: [] }),
    );
    await eventually(
      'it trusts both',
      async () => (await kept.credentials.current()).authorities.length === 2,
    );
    keeper.learn({ signer: next, retired: [] });
    await eventually(
      'the server shows its new certificate',
      async () => (await keeper.current()).authorities.length === 1,
    );
    await writeFile(settings.trustFile, trustPem({ signer: next, retired: [] }));
    await eventually('it enrols with the new one', async () => {
      const { certificate, authorities } = await kept.credentials.current();
      return authorities.length === 1 && certificate.checkIssued(next.certificate);
    });
    stop.abort();
  },
);

test(
  'an agent whose certificate ended while nobody answered enrols as soon as somebody does',
  needs(...KUBE_PROGRAMS),
  async () => {
    const { it, port, keeper } = await scene();
    const signer = keeper.bundle?.signer;
    assert.ok(signer);
    await using folder = await temporaryFolder();
    const pod = await it.addAgentPod({ node: 'node-8' });
    const over = { now: new Date(Date.now() - 3_600_000), lifeMs: 1_800_000 };
    const identity = { cluster: it.cluster, role: 'agent', node: 'node-8' } as const;
    const ended = await credentialsFor(signer, identity, over);
    await saveCredentials(folder.join('credentials'), ended);
    // ConfigMap and token are what kubelet mounted before: both are read again with each try.
    await writeFile(folder.join('ca.crt'), ended.ca);
    await writeFile(folder.join('token'), 'of the time before');
    await using door = await closedDoor(port);
    const agent = recordedLog();
    const stop = new AbortController();
    const enrolling = keepEnrolled(
      {
        url: `https://127.0.0.1:${door.port}/enrol`,
        ...{ trustFile: folder.join('ca.crt'), tokenFile: folder.join('token') },
        ...{ credentialsDir: folder.join('credentials'), node: 'node-8' },
      },
      { clock: systemClock, log: agent.log, lookMs: 20, retryMs: 20 },
      stop.signal,
    );
    enrolling.catch(() => undefined);
    stack.defer(() => {
      stop.abort();
    });
    const says = (code: string): Promise<unknown> =>
      eventually(`it says ${code}`, () => {
        const told = agent.lines.map(({ message }) => message);
        assert.ok(
          told.some((message) => message.includes(`[${code}]`)),
          told.join('\n'),
        );
        return true;
      });
    await says('agent.enrolment-unreachable');
    door.open();
    await says('controlplane.enrolment-token');
    await writeFile(folder.join('token'), await it.tokenOf(pod));
    await using kept = await enrolling;
    const { certificate } = await kept.credentials.current();
    assert.ok(certificate.validToDate > new Date());
    assert.ok(agent.lines.some(({ event }) => event === 'enrolment-again'));
    stop.abort();
  },
);

test(
  'an agent gives its token to nobody but the control plane of its cluster',
  needs(...KUBE_PROGRAMS),
  async () => {
    const { it, port, lines } = await scene();
    await using folder = await temporaryFolder();
    const other = await createAuthority({ cluster: it.cluster, namespace: NAMESPACE }, new Date());
    await writeFile(folder.join('ca.crt'), other.certificate.toString());
    await writeFile(folder.join('token'), 'secret');
    const before = lines.length;
    const agent = recordedLog();
    const stop = new AbortController();
    const enrolling = keepEnrolled(
      {
        url: `https://127.0.0.1:${port}/enrol`,
        ...{ trustFile: folder.join('ca.crt'), tokenFile: folder.join('token') },
        ...{ credentialsDir: folder.join('credentials'), node: 'node-9' },
      },
      { clock: systemClock, log: agent.log, retryMs: 20 },
      stop.signal,
    );
    await eventually('it refuses', () =>
      agent.lines.some(({ message }) => message.includes('[agent.enrolment-unreachable]')),
    );
    stop.abort();
    await assert.rejects(enrolling);
    assert.equal(lines.length, before, 'the server has heard nothing');
  },
);

/** A port behind which a server is reached once it is opened; until then connections are broken off. */
async function closedDoor(
  behind: number,
): Promise<AsyncDisposable & { readonly port: number; readonly open: () => void }> {
  let isOpen = false;
  const sockets = new Set<Socket>();
  const door = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    if (!isOpen) {
      socket.destroy();
      return;
    }
    const onwards = connect(behind, '127.0.0.1');
    onwards.on('error', () => socket.destroy());
    socket.pipe(onwards).pipe(socket);
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  return {
    port: (door.address() as AddressInfo).port,
    open: () => {
      isOpen = true;
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        door.close(() => {
          resolve();
        });
      }),
  };
}
