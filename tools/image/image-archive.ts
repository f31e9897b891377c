import { createHash } from 'node:crypto';
import { tar, tarSize, type TarEntry } from './tar.ts';

/** A container image, made of files of this machine: no container engine, no registry. */
export interface Image {
  /** `host/name:tag`, as pods name it. */
  readonly reference: string;
  /** From the lowest to the topmost. The same array in two images is stored once. */
  readonly layers: readonly (readonly TarEntry[])[];
  readonly run: {
    readonly Entrypoint?: readonly string[];
    readonly Cmd?: readonly string[];
    readonly Env?: readonly string[];
    readonly User?: string;
    readonly WorkingDir?: string;
    readonly Labels?: Readonly<Record<string, string>>;
  };
}

/** As OCI names them. */
export type Architecture = 'amd64' | 'arm64';

/**
 * An archive of images that `ctr image import`, `docker load`, `podman load` and `skopeo` take: an OCI image layout with
 * docker's manifest.json beside it, both over the same blobs. The same files make the same bytes.
 */
export async function* imageArchive(
  images: readonly Image[],
  architecture: Architecture,
): AsyncGenerator<Uint8Array> {
  const blobs = new Map<string, TarEntry>();
  const layers = await sumLayers(images);
  const keep = (blob: Blob): Descriptor => {
    blobs.set(blob.digest, { path: pathOf(blob.digest), mode: 0o644, content: blob.content });
    return { digest: blob.digest, size: blob.size };
  };

  const index: unknown[] = [];
  const docker: unknown[] = [];
  for (const image of images) {
    const own = image.layers.map((entries) => keep(blobOf(layers, entries)));
    const config = keep(
      json({
        ...{ architecture, os: 'linux', created: '1970-01-01T00:00:00Z', config: image.run },
        rootfs: { type: 'layers', diff_ids: own.map(({ digest }) => digest) },
      }),
    );
    const manifest = keep(
      json({
        schemaVersion: 2,
        mediaType: `${OCI}.manifest.v1+json`,
        config: { mediaType: `${OCI}.config.v1+json`, ...config },
        layers: own.map((layer) => ({ mediaType: `${OCI}.layer.v1.tar`, ...layer })),
      }),
    );
    index.push({
      ...{ mediaType: `${OCI}.manifest.v1+json`, ...manifest, platform: { architecture, os: 'linux' } },
      annotations: {
        'io.containerd.image.name': image.reference,
        'org.opencontainers.image.ref.name': image.reference,
      },
    });
    docker.push({
      Config: pathOf(config.digest),
      RepoTags: [image.reference],
      Layers: own.map(({ digest }) => pathOf(digest)),
    });
  }

  const named = (path: string, value: unknown): TarEntry => ({
    ...{ path, mode: 0o644 },
    content: json(value).content,
  });
  yield* tar([
    named('oci-layout', { imageLayoutVersion: '1.0.0' }),
    named('index.json', { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: index }),
    named('manifest.json', docker),
    ...blobs.values(),
  ]);
}

const OCI = 'application/vnd.oci.image';

interface Descriptor {
  /** `sha256:hex` */
  readonly digest: string;
  readonly size: number;
}

interface Blob extends Descriptor {
  readonly content: TarEntry['content'];
}

type Layers = ReadonlyMap<readonly TarEntry[], Blob>;

/** Reads every layer once for its checksum; it is read again when it is written. */
async function sumLayers(images: readonly Image[]): Promise<Layers> {
  const sums = new Map<readonly TarEntry[], Blob>();
  for (const entries of new Set(images.flatMap((image) => image.layers))) {
    const hash = createHash('sha256');
    for await (const chunk of tar(entries)) hash.update(chunk);
    const size = tarSize(entries);
    const content = { kind: 'stream', size, open: () => tar(entries) } as const;
    sums.set(entries, { digest: `sha256:${hash.digest('hex')}`, size, content });
  }
  return sums;
}

function blobOf(layers: Layers, entries: readonly TarEntry[]): Blob {
  const blob = layers.get(entries);
  if (blob === undefined) throw new Error('a layer without a checksum');
  return blob;
}

function json(value: unknown): Blob {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { digest, size: bytes.length, content: { kind: 'bytes', bytes } };
}

function pathOf(digest: string): string {
  return `blobs/sha256/${digest.replace('sha256:', '')}`;
}
