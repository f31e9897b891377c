import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { GuardianError, reasonOf } from '../guardian-error.ts';
import { type Credentials, type CredentialTexts, parseCredentials } from './credentials.ts';

/** The files of a mounted `kubernetes.io/tls` Secret. */
const FILES = { cert: 'tls.crt', key: 'tls.key', ca: 'ca.crt' } as const;

export interface CredentialSource {
  /**
   * Looks at the files again, and resolves to credentials of one moment: never an old certificate with a new key. The
   * same object for as long as nothing changes. While files are missing, half-written or don't fit each other, what was
   * good before stays. Rejects with `pki.credentials` and its kin as long as there never was anything good.
   */
  current(): Promise<Credentials>;
  /** Why the files as they are now weren't taken; undefined when they were. */
  readonly complaint: string | undefined;
}

/** Credentials from a folder: a mounted Secret, or one that `saveCredentials` keeps. Reads nothing yet. */
export function credentialFolder(folder: string): CredentialSource {
  let good: { readonly value: Credentials; readonly versions: string } | undefined;
  let complaint: string | undefined;

  const read = async (): Promise<Credentials> => {
    const generation = await generationOf(folder);
    const before = await versions(generation);
    if (good?.versions === before) return good.value;
    const value = parseCredentials(await readTexts(generation), folder);
    if ((await versions(generation)) !== before) throw changing(folder);
    good = { value, versions: before };
    return value;
  };
  return {
    async current() {
      let failure: unknown;
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        try {
          const value = await read();
          complaint = undefined;
          return value;
        } catch (error) {
          failure = error;
        }
      }
      complaint = reasonOf(failure);
      if (good !== undefined) return good.value;
      throw failure instanceof GuardianError ? failure : unreadable(folder, failure);
    },
    get complaint() {
      return complaint;
    },
  };
}

/** A folder is swapped in an instant: whoever read into a swap finds it over. */
const ATTEMPTS = 3;

/** kubelet's name for the link that it swaps; readers of mounted Secrets know the layout. */
const LINK = '..data';
const GENERATION = '..generation-';

/**
 * Puts credentials into a folder that may hold earlier ones, all at once and durably, readable for the owner only: the
 * three files are links into a folder of this generation, through one link that is swapped. Rejects with
 * `pki.unwritable`, and what was there before stays.
 */
export async function saveCredentials(folder: string, texts: CredentialTexts): Promise<void> {
  parseCredentials(texts, 'what is to be saved');
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const generation = await mkdtemp(join(folder, GENERATION));
    for (const [what, name] of entriesOf(FILES)) await writeDurably(join(generation, name), texts[what]);
    await syncFolder(generation);
    await swapLink(join(folder, LINK), basename(generation));
    for (const name of Object.values(FILES)) await swapLink(join(folder, name), join(LINK, name));
    await syncFolder(folder);
    for (const name of await readdir(folder)) {
      if (name.startsWith(GENERATION) && name !== basename(generation))
        await rm(join(folder, name), { recursive: true, force: true });
    }
  } catch (error) {
    throw new GuardianError('pki.unwritable', `can't save credentials in ${folder}: ${reasonOf(error)}`, {
      hint: 'The folder must be on a writable disk with room, and belong to the user of this process.',
      cause: error,
    });
  }
}

function entriesOf<K extends string, V>(record: Readonly<Record<K, V>>): [K, V][] {
  return Object.entries(record) as [K, V][];
}

async function writeDurably(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(text);
  await file.sync();
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

async function swapLink(path: string, target: string): Promise<void> {
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  await symlink(target, fresh);
  // A folder in the way isn't ours to replace; rename says so.
  await rename(fresh, path);
}

/** Where the files lie that belong together: a link that is swapped meanwhile must not mix them. */
async function generationOf(folder: string): Promise<string> {
  const target = await readlink(join(folder, LINK)).catch(() => undefined);
  return target === undefined ? folder : join(folder, target);
}

/** Changes whenever a file may have, links followed; the files are not read for it. */
async function versions(folder: string): Promise<string> {
  const all = await Promise.all(
    Object.values(FILES).map(async (name) => {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(join(folder, name), { bigint: true });
      return [dev, ino, size, mtimeNs, ctimeNs].join(':');
    }),
  );
  return all.join(' ');
}

async function readTexts(folder: string): Promise<CredentialTexts> {
  const [cert, key, ca] = await Promise.all(
    [FILES.cert, FILES.key, FILES.ca].map((name) => readFile(join(folder, name), 'utf8')),
  );
  return { cert: cert ?? '', key: key ?? '', ca: ca ?? '' };
}

function changing(folder: string): GuardianError {
  return new GuardianError('pki.credentials', `the files in ${folder} change while they are read`, {
    hint: 'Try again.',
    retryable: true,
  });
}

function unreadable(folder: string, cause: unknown): GuardianError {
  return new GuardianError('pki.credentials', `no credentials in ${folder}: ${reasonOf(cause)}`, {
    hint: `It must hold ${Object.values(FILES).join(', ')}: check the path or the mount. A person gets such a folder from "etcdguardian pki issue", an agent by enrolling.`,
    retryable: true,
    cause,
  });
}
