import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

/** What of a static pod's manifest tells how its program runs. */
const manifestSchema = z.object({
  kind: z.literal('Pod'),
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).nullish() }),
  spec: z.object({
    containers: z.array(
      z.object({
        name: z.string(),
        command: z.array(z.string()).nullish(),
        args: z.array(z.string()).nullish(),
        env: z.array(z.object({ name: z.string(), value: z.string().nullish() })).nullish(),
        volumeMounts: z.array(z.object({ name: z.string(), mountPath: z.string() })).nullish(),
      }),
    ),
    volumes: z
      .array(z.object({ name: z.string(), hostPath: z.object({ path: z.string() }).nullish() }))
      .nullish(),
  }),
});

type Manifest = z.output<typeof manifestSchema>;

/** A program that the kubelet runs from a file. */
export interface StaticPod {
  /** The manifest. */
  readonly path: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  /** Where a path in its container lies on the node; unchanged where no folder of the node is mounted. */
  onNode(path: string): string;
}

/** The static pods of a node that run a program of that name, e.g. `etcd`. What isn't a pod is passed over. */
export async function staticPods(folder: string, program: string): Promise<StaticPod[]> {
  const names = await readdir(folder).catch(() => []);
  const pods: StaticPod[] = [];
  // The kubelet takes every file that doesn't begin with a dot.
  for (const name of names.filter((one) => !one.startsWith('.')).sort()) {
    const path = join(folder, name);
    const manifest = await readManifest(path);
    if (manifest !== undefined) pods.push(...podsIn(manifest, path, program));
  }
  return pods;
}

const LARGEST = 1 << 20;

async function readManifest(path: string): Promise<Manifest | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    return text.length > LARGEST
      ? undefined
      : manifestSchema.safeParse(parse(text, { maxAliasCount: 10 })).data;
  } catch {
    return undefined;
  }
}

function podsIn({ metadata, spec }: Manifest, path: string, program: string): StaticPod[] {
  const labelled = [metadata.name, metadata.labels?.component].includes(program);
  const container = spec.containers.find(
    ({ name, command }) => isProgram(command?.[0], program) || (labelled && name === program),
  );
  if (container === undefined) return [];
  const folders = new Map(
    (spec.volumes ?? []).flatMap(({ name, hostPath }) => (hostPath ? [[name, hostPath.path] as const] : [])),
  );
  const mounts = (container.volumeMounts ?? [])
    .flatMap(({ name, mountPath }) => {
      const onHost = folders.get(name);
      return onHost === undefined ? [] : [{ inside: withoutSlash(mountPath), onHost: withoutSlash(onHost) }];
    })
    // The deepest mount holds a path.
    .sort((a, b) => b.inside.length - a.inside.length);
  return [
    {
      path,
      args: [...(container.command ?? []).slice(1), ...(container.args ?? [])],
      env: new Map((container.env ?? []).map(({ name, value }) => [name, value ?? ''])),
      onNode(inside) {
        const mount = mounts.find((one) => inside === one.inside || inside.startsWith(`${one.inside}/`));
        return mount === undefined ? inside : `${mount.onHost}${inside.slice(mount.inside.length)}`;
      },
    },
  ];
}

function isProgram(command: string | undefined, program: string): boolean {
  return command === program || command?.endsWith(`/${program}`) === true;
}

function withoutSlash(path: string): string {
  return path === '/' ? '' : path.replace(/\/+$/, '');
}
