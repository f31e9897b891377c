import type { KubeClient } from '../../lib/kubernetes/kube-client.ts';

export interface Death {
  /** At which write, from 1. */
  readonly write: number;
  /** Lost: the API server never saw it; else it did it, and nobody heard the answer. */
  readonly isLost: boolean;
}

/** A client whose process dies at a write of the requester's, for all that the API server can tell. */
export function dyingAt(kube: KubeClient, death: Death): KubeClient {
  const mortal = mortality(death);
  return { ...kube, as: (requester) => mortal(kube.as(requester)) };
}

/** One whose process dies at a write of its own. */
export function dyingAtOwn(kube: KubeClient, death: Death): KubeClient {
  return mortality(death)(kube);
}

function mortality({ write, isLost }: Death): (client: KubeClient) => KubeClient {
  let writes = 0;
  const dying = async <T>(send: () => Promise<T>): Promise<T> => {
    writes += 1;
    if (writes > write || (writes === write && isLost)) throw new Died();
    const answer = await send();
    if (writes >= write) throw new Died();
    return answer;
  };
  return (client) => ({
    ...client,
    create: (...args) => dying(() => client.create(...args)),
    replace: (...args) => dying(() => client.replace(...args)),
    mergePatch: (...args) => dying(() => client.mergePatch(...args)),
    delete: (...args) => dying(() => client.delete(...args)),
    raw: (...args) => (args[0] === 'GET' ? client.raw(...args) : dying(() => client.raw(...args))),
  });
}

export class Died extends Error {
  constructor() {
    super('the process died');
  }
}
