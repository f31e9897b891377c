import type { Command, Option } from 'commander';
import { GuardianError } from '../lib/guardian-error.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** A completion script for one of bash, zsh and fish, made from the commands and options of `program`. */
export function completionScript(program: Command, shell: string): string {
  switch (SHELLS.find((known) => known === shell)) {
    case 'bash':
      return bashScript(describe(program));
    case 'zsh':
      return `#compdef etcdguardian\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(describe(program))}`;
    case 'fish':
      return fishScript(describe(program));
    case undefined:
      throw new GuardianError('usage.shell', `no completion for the shell "${shell}"`, {
        hint: `use one of ${SHELLS.join(', ')}`,
      });
  }
}

interface Described {
  /** Words from the program to the command, e.g. `['backup', 'create']`. */
  readonly path: readonly string[];
  readonly description: string;
  readonly children: readonly string[];
  readonly options: readonly Option[];
}

function describe(command: Command, path: readonly string[] = []): Described[] {
  const children = command.commands.filter((child) => child.name() !== 'help');
  const own: Described = {
    path,
    description: command.summary() || command.description(),
    children: children.map((child) => child.name()),
    options: command.options.filter((option) => !option.hidden),
  };
  return [own, ...children.flatMap((child) => describe(child, [...path, child.name()]))];
}

function bashScript(commands: readonly Described[]): string {
  const words = commands.map((command) => {
    const options = command.options.flatMap((option) => (option.long === undefined ? [] : [option.long]));
    return `    "${command.path.join(' ')}") words="${[...command.children, ...options, '--help'].join(' ')}" ;;`;
  });
  const choices = choiceLists(commands).map(
    ([flag, values]) => `    ${flag}) words="${values.join(' ')}" ;;`,
  );
  const known = commands.map((command) => `"${command.path.join(' ')}"`).join('|');
  return `_etcdguardian() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in ${known}) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${words.join('\n')}
  esac
  case "$previous" in
${choices.join('\n')}
    --*file|--cacert|--cert|--key|--data-dir|--wal-dir|--out) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -F _etcdguardian etcdguardian
`;
}

function fishScript(commands: readonly Described[]): string {
  const lines = ['complete -c etcdguardian -f'];
  for (const command of commands) {
    const condition = fishCondition(command);
    for (const child of command.children) {
      const description = commands.find(
        (other) => other.path.join(' ') === [...command.path, child].join(' '),
      );
      lines.push(
        `complete -c etcdguardian -n '${condition}' -a ${child} -d ${quoted(description?.description ?? '')}`,
      );
    }
    for (const option of command.options) {
      if (option.long === undefined) continue;
      const needsValue = option.required || option.optional ? ' -r' : '';
      const values = option.argChoices === undefined ? '' : ` -a '${option.argChoices.join(' ')}'`;
      lines.push(
        `complete -c etcdguardian -n '${condition}' -l ${option.long.slice(2)}${needsValue}${values} -d ${quoted(option.description)}`,
      );
    }
  }
  return lines.join('\n') + '\n';
}

function fishCondition(command: Described): string {
  if (command.path.length === 0) return '__fish_use_subcommand';
  const seen = command.path.map((word) => `__fish_seen_subcommand_from ${word}`);
  if (command.children.length > 0) seen.push(`not __fish_seen_subcommand_from ${command.children.join(' ')}`);
  return seen.join('; and ');
}

function choiceLists(commands: readonly Described[]): [string, readonly string[]][] {
  const lists = new Map<string, readonly string[]>();
  for (const option of commands.flatMap((command) => command.options)) {
    if (option.long !== undefined && option.argChoices !== undefined)
      lists.set(option.long, option.argChoices);
  }
  return [...lists];
}

function quoted(text: string): string {
  return `'${(text.split('\n')[0] ?? '').replaceAll("'", "\\'")}'`;
}
