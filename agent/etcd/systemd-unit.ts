import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A service of systemd, as its unit file and drop-ins have it. */
export interface SystemdUnit {
  readonly name: string;
  /** The program's path, then its arguments. */
  readonly command: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  readonly workingDirectory: string;
}

/** The unit of that name in the first folder that has it, with drop-ins of all folders; undefined where there is none. */
export async function systemdUnit(
  folders: readonly string[],
  name: string,
): Promise<SystemdUnit | undefined> {
  let text: string | undefined;
  for (const folder of folders) text ??= await textAt(join(folder, name));
  if (text === undefined) return undefined;
  for (const folder of [...folders].reverse()) text += `\n${await dropIns(join(folder, `${name}.d`))}`;
  const lines = serviceLines(text);

  const env = new Map<string, string>();
  for (const [key, value] of lines) {
    if (key === 'Environment') for (const word of words(value)) put(env, word);
    if (key === 'EnvironmentFile') await putFile(env, value);
  }
  let command: string[] = [];
  for (const [key, value] of lines) if (key === 'ExecStart') command = value === '' ? [] : words(value);
  const [program = '', ...args] = command.flatMap((word) => expanded(word, env));
  if (program === '') return undefined;
  const workingDirectory = lines.findLast(([key]) => key === 'WorkingDirectory')?.[1] ?? '/';
  // What may stand before the program (systemd.service(5), "Special executable prefixes").
  return { name, command: [program.replace(/^[@\-:+!|]+/, ''), ...args], env, workingDirectory };
}

async function textAt(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}

async function dropIns(folder: string): Promise<string> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.conf')).sort();
  const texts = await Promise.all(names.map((name) => textAt(join(folder, name))));
  return texts.join('\n');
}

/** The settings of section [Service], in order, lines that go on joined. */
function serviceLines(text: string): (readonly [key: string, value: string])[] {
  let section = '';
  return text
    .replace(/\\\r?\n/g, ' ')
    .split(/\r?\n/)
    .flatMap((raw) => {
      const line = raw.trim();
      const [, heading] = /^\[(.+)\]$/.exec(line) ?? [];
      section = heading ?? section;
      const [, key, value] = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? [];
      return section === 'Service' && key !== undefined && value !== undefined ? [[key, value] as const] : [];
    });
}

/** Splits as systemd does: by blanks, with quotes around words or parts of them. */
function words(text: string): string[] {
  return [...text.matchAll(/(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+/g)].map(([word]) =>
    word.replace(
      /"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g,
      (_all, double?: string, single?: string, one?: string) =>
        double === undefined ? (single ?? one ?? '') : double.replace(/\\(.)/g, '$1'),
    ),
  );
}

function put(env: Map<string, string>, assignment: string): void {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(assignment) ?? [];
  if (name !== undefined && value !== undefined) env.set(name, value);
}

/** `-/path`: it may be missing. */
async function putFile(env: Map<string, string>, path: string): Promise<void> {
  const text = (await textAt(path.replace(/^-/, ''))) ?? '';
  for (const line of text.replace(/\\\r?\n/g, '').split(/\r?\n/)) {
    if (/^\s*[#;]/.test(line)) continue;
    const [, name, value = ''] = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) env.set(name, words(value).join(' '));
  }
}

/** `$NAME` as a word of its own becomes several words, `${NAME}` in a word is put in its place. */
function expanded(word: string, env: ReadonlyMap<string, string>): string[] {
  const [, alone] = /^\$([A-Za-z_][A-Za-z0-9_]*)$/.exec(word) ?? [];
  if (alone !== undefined) return words(env.get(alone) ?? '');
  return [word.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_all, name: string) => env.get(name) ?? '')];
}
