/**
 * Text for a terminal, with everything that it would obey instead of show written as `\u{1b}`: names come from stores,
 * databases and servers that others can write. Line ends stay.
 */
export function visibleText(text: string): string {
  return text.replaceAll(/(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
