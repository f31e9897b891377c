import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

/**
 * The table of a chart's values, in Markdown: each value that has a comment `# -- …` above it, with its default. A value
 * without one is an error, and so is a comment above nothing.
 */
export function valuesTable(yaml: string): string {
  const document = parseDocument(yaml);
  if (!isMap(document.contents)) throw new Error('values.yaml holds no map');
  const rows = rowsOf(document.contents, '');
  return ['| value | default | what |', '|---|---|---|', ...rows].join('\n');
}

function rowsOf(map: YAMLMap, prefix: string): string[] {
  return map.items.flatMap((pair) => {
    const { key, value } = pair;
    if (!isScalar(key)) throw new Error(`${prefix || 'values.yaml'} has a key that is no word`);
    const name = `${prefix}${String(key.value)}`;
    const comment = commentOf(pair, map);
    if (comment !== undefined) return [`| \`${name}\` | \`${JSON.stringify(plain(value))}\` | ${comment} |`];
    if (isMap(value) && value.items.length > 0) return rowsOf(value, `${name}.`);
    throw new Error(`${name} isn't described: write "# -- what it is for" above it`);
  });
}

function commentOf({ key }: Pair, map: YAMLMap): string | undefined {
  // The parser gives a comment above the first key to the map.
  const isFirst = map.items[0]?.key === key;
  const text = (isScalar(key) ? key.commentBefore : undefined) ?? (isFirst ? map.commentBefore : undefined);
  const last = text?.split('\n').at(-1)?.trim();
  return last?.startsWith('-- ') === true ? last.slice(3).replaceAll('|', '\\|') : undefined;
}

function plain(node: unknown): unknown {
  return typeof node === 'object' && node !== null && 'toJSON' in node && typeof node.toJSON === 'function'
    ? (node.toJSON as () => unknown)()
    : node;
}
