import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Image } from './image-archive.ts';
import { fileEntry, linkEntry, type TarEntry, textEntry, treeEntries, withFolders } from './layer.ts';
import { sharedLibraries } from './shared-libraries.ts';

/** Where the image's parts are on this machine. */
export interface ImageSources {
  /** The project. */
  readonly project: string;
  /** The program. */
  readonly node: string;
  /** A file system like `/` with the libraries of Node and of nsenter, nsenter, and certificate authorities. */
  readonly system: string;
}

/** Who the control plane and the webhook are in their containers. The agent is root, by its DaemonSet. */
const USER = 65_532;
const HOME = 'opt/etcdguardian';

/**
 * The product's image: Node and the libraries that it needs, our sources, the packages they run with, nsenter for hooks
 * on nodes. No shell, no package manager. `Containerfile` makes the same with a container engine.
 */
export function guardianImage(sources: ImageSources, reference: string): Image {
  const npm = packages(sources.project);
  return {
    reference,
    // What changes often lies on top.
    layers: [
      withFolders(systemFiles(sources, npm)),
      withFolders([fileEntry('usr/local/bin/node', sources.node)]),
      withFolders(npm),
      withFolders(ownFiles(sources.project).map(asItIsNow)),
    ],
    run: {
      Entrypoint: ['/usr/local/bin/etcdguardian'],
      Env: [
        'PATH=/usr/local/bin:/usr/bin',
        'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
        ...launcherSettings(sources.project).env,
      ],
      User: String(USER),
      WorkingDir: '/',
      Labels: {
        'org.opencontainers.image.title': 'etcdguardian',
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
  };
}

/** The version of package.json. */
export function guardianVersion(project: string): string {
  const text = readFileSync(join(project, 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

/** What bin/etcdguardian starts Node with, read out of it: `NAME=value` and flags. */
export function launcherSettings(project: string): { env: string[]; flags: string[] } {
  const text = readFileSync(join(project, 'bin', 'etcdguardian'), 'utf8');
  const env = [...text.matchAll(/^export (\w+)="\$\{\1:-([^}]*)\}"$/gm)].map(
    ([, name, value]) => `${name}=${value}`,
  );
  const flags = /^exec "\$node_bin\/node" (.*) "\$root\/cli\/main.ts"/m.exec(text)?.[1]?.split(' ') ?? [];
  if (env.length === 0 || flags.length === 0)
    throw new Error('bin/etcdguardian starts Node in an unknown way');
  return { env, flags };
}

const TERMS =
  /^(ca-certificates|gcc-\d+-base|libatomic1|libc6|libgcc-s1|libpcre2-8-0|libselinux1|libstdc\+\+6|util-linux)$/;

/** What needs the system's libraries: Node, nsenter, and packages that are partly machine code. */
function systemFiles({ node, system }: ImageSources, npm: readonly TarEntry[]): TarEntry[] {
  const nsenter = join(system, 'usr/bin/nsenter');
  const addons = npm.flatMap(({ content }) =>
    content.kind === 'file' && content.path.endsWith('.node') ? [content.path] : [],
  );
  const libraries = new Set([node, nsenter, ...addons].flatMap((file) => sharedLibraries(file, system)));
  const authorities = treeEntries('', join(system, 'usr/share/ca-certificates'), () => true);
  const terms = readdirSync(join(system, 'usr/share/doc'))
    .filter((name) => TERMS.test(name))
    .map((name) => `usr/share/doc/${name}/copyright`);
  return [
    ...['bin', 'lib', 'lib64', 'sbin'].map((name) => linkEntry(name, `usr/${name}`)),
    textEntry(
      'etc/passwd',
      `root:x:0:0:root:/root:/sbin/nologin\netcdguardian:x:${USER}:${USER}::/tmp:/sbin/nologin\n`,
    ),
    textEntry('etc/group', `root:x:0:\netcdguardian:x:${USER}:\n`),
    textEntry('etc/nsswitch.conf', 'hosts: files dns\n'),
    textEntry(
      'etc/ssl/certs/ca-certificates.crt',
      authorities
        .map(({ path }) => readFileSync(join(system, 'usr/share/ca-certificates', path), 'utf8'))
        .join(''),
    ),
    fileEntry('usr/bin/nsenter', nsenter, 0o755),
    // `/lib` is a link to `/usr/lib`.
    ...[...libraries].map((path) => fileEntry(`usr${path.replace(/^\/usr/, '')}`, join(system, path), 0o755)),
    ...terms.map((path) => fileEntry(path, join(system, path))),
  ];
}

const Lock = z.object({ packages: z.record(z.string(), z.object({ dev: z.boolean().default(false) })) });
/** Of use while one writes programs, not while they run: Node takes no types from there. */
const FOR_AUTHORS = /\.([cm]?ts|map|md|markdown|tsbuildinfo)$/;

/** The packages that the product runs with, as the lock file has them; those of other platforms aren't installed. */
function packages(project: string): TarEntry[] {
  const lock = Lock.parse(JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8'))).packages;
  const folders = Object.keys(lock).filter(
    (path) => path !== '' && lock[path]?.dev === false && !path.includes('node_modules/@types/'),
  );
  const installed = new Set(folders.filter((path) => existsSync(join(project, path, 'package.json'))));
  return [...installed]
    .sort()
    .flatMap((path) =>
      treeEntries(
        join(HOME, path),
        join(project, path),
        (name) => name !== 'node_modules' && !FOR_AUTHORS.test(name),
      ),
    );
}

const ROOMS = ['lib', 'agent', 'controlplane', 'webhook', 'cli', 'proto', 'manifests'];
const TEST = /[.](test|fixture|conformance)[.]ts$|(^|[/])conformance-[^/]*[.]ts$/;

function ownFiles(project: string): TarEntry[] {
  const rooms = ROOMS.filter((room) => existsSync(join(project, room)));
  return [
    linkEntry('usr/local/bin/etcdguardian', `/${HOME}/bin/in-image.cjs`),
    ...['bin/in-image.cjs', 'package.json', 'LICENSE'].map((name) =>
      fileEntry(join(HOME, name), join(project, name)),
    ),
    ...rooms.flatMap((room) =>
      treeEntries(join(HOME, room), join(project, room), (name) => !TEST.test(name)),
    ),
  ];
}

/** Someone may be writing our sources while the image is made. */
function asItIsNow(entry: TarEntry): TarEntry {
  const { content } = entry;
  return content.kind === 'file'
    ? { ...entry, content: { kind: 'bytes', bytes: readFileSync(content.path) } }
    : entry;
}
