/**
 * Keeps what follows from `manifests/crds/` in step with it: the schemas that one resource shares with another, and the
 * TypeScript types in `lib/kubernetes/api/`. `make generate` writes; with `--check`, as in `make lint`, it only tells
 * what is out of step, and fails.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { type Document, parseDocument } from 'yaml';
import { shareSchemas } from './api/shared-schemas.ts';
import { resourceFiles } from './api/resource-files.ts';
import { readResource } from './api/resource.ts';

const root = join(import.meta.dirname, '..');
const crdFolder = join(root, 'manifests', 'crds');
const typeFolder = join(root, 'lib', 'kubernetes', 'api');

/** In this order shared types are declared where they are met first. */
const PLURALS = ['etcdbackups', 'etcdbackupschedules', 'etcdrestores'] as const;

await main(process.argv.includes('--check'));

async function main(check: boolean): Promise<void> {
  const wanted = await generate();
  const existing = (await readdir(typeFolder).catch((): string[] => [])).map((name) =>
    join(typeFolder, name),
  );
  const surplus = existing.filter((path) => !wanted.has(path));
  const changed: string[] = [];
  for (const [path, text] of wanted)
    if ((await readFile(path, 'utf8').catch(() => '')) !== text) changed.push(path);

  const names = [...changed, ...surplus].map((path) => relative(root, path));
  if (check) {
    if (names.length === 0) return;
    process.stderr.write(
      `out of step with manifests/crds: ${names.join(', ')}\nrun \`make generate\` and commit\n`,
    );
    process.exitCode = 1;
    return;
  }
  for (const path of surplus) await rm(path);
  for (const path of changed) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, wanted.get(path) ?? '');
  }
  process.stdout.write(names.length === 0 ? 'nothing to do\n' : `wrote ${names.join(', ')}\n`);
}

/** Every generated file with its text, by its path. */
async function generate(): Promise<Map<string, string>> {
  const documents = new Map<string, Document>();
  for (const plural of PLURALS)
    documents.set(plural, parseDocument(await readFile(join(crdFolder, `${plural}.yaml`), 'utf8')));
  shareSchemas(documents);
  const resources = [...documents.values()].map((document) => readResource(document.toJS()));

  const texts = new Map<string, string>();
  for (const [plural, document] of documents)
    texts.set(join(crdFolder, `${plural}.yaml`), document.toString({ lineWidth: 0 }));
  for (const [name, text] of resourceFiles(resources)) texts.set(join(typeFolder, name), text);

  const formatted = new Map<string, string>();
  for (const [path, text] of texts)
    formatted.set(path, await format(text, { ...(await resolveConfig(path)), filepath: path }));
  return formatted;
}
