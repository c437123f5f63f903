import type { Command } from "commander";

/** Completion scripts, made from the commander tree, so that no command can be missing from them. */
export const shells = ["bash", "zsh", "fish"] as const;
export type ShellName = (typeof shells)[number];

export function completionScript(shell: ShellName, program: Command): string {
  const nodes = nodesOf(program);
  return { bash, zsh, fish }[shell](nodes);
}

interface Node {
  /** Words after the program's name: none for the program itself. */
  readonly path: readonly string[];
  readonly about: string;
  readonly words: readonly { readonly word: string; readonly about: string }[];
  readonly options: readonly { readonly long: string; readonly about: string; readonly takesValue: boolean }[];
}

function nodesOf(command: Command, path: readonly string[] = [], inherited: Node["options"] = []): Node[] {
  const own = command.options.flatMap(({ long, description, required, optional }) =>
    long ? [{ long, about: description, takesValue: required || optional }] : [],
  );
  const options = [...own, ...inherited];
  const words = command.commands.map((child) => ({ word: child.name(), about: child.description() }));
  const node = { path, about: command.description(), words, options };
  return [node, ...command.commands.flatMap((child) => nodesOf(child, [...path, child.name()], options))];
}

/** What one may type after a path: its commands, and options. */
function candidates({ words, options }: Node): string {
  return [...words.map(({ word }) => word), ...options.map(({ long }) => long), "--help"].join(" ");
}

function bash(nodes: readonly Node[]): string {
  const cases = nodes.map((node) => `    ${caseLabel(node)}) words="${candidates(node)}" ;;`);
  return `# bash completion for openledger: source <(openledger completion bash)
_openledger() {
  local path="" word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) case "$path $word" in
${nodes
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      " ${path.join(" ")}") path="$path $word" ;;`)
  .join("\n")}
    esac ;; esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _openledger openledger
`;
}

function zsh(nodes: readonly Node[]): string {
  const cases = nodes.map(({ path, words, options }) => {
    const described = [
      ...words.map(({ word, about }) => quoted(`${word}:${about}`)),
      ...options.map(({ long, about }) => quoted(`${long}:${about}`)),
    ];
    return `    ${caseLabel({ path })}) candidates=(${described.join(" ")}) ;;`;
  });
  return `#compdef openledger
# zsh completion for openledger: openledger completion zsh > "\${fpath[1]}/_openledger"
_openledger() {
  local path_="" word
  local -a candidates
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$word" in -*) ;; *) case "$path_ $word" in
${nodes
  .filter(({ path }) => path.length > 0)
  .map(({ path }) => `      " ${path.join(" ")}") path_="$path_ $word" ;;`)
  .join("\n")}
    esac ;; esac
  done
  case "$path_" in
${cases.join("\n")}
  esac
  _describe 'openledger' candidates || _files
}
compdef _openledger openledger
`;
}

function fish(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, words, options }) => {
    const when = `-n ${quoted(`__openledger_at ${path.join(" ")}`.trimEnd())}`;
    return [
      ...words.map(({ word, about }) => `complete -c openledger -f ${when} -a ${word} -d ${quoted(about)}`),
      ...options.map(
        ({ long, about, takesValue }) =>
          `complete -c openledger ${when} -l ${long.slice(2)}${takesValue ? " -r" : ""} -d ${quoted(about)}`,
      ),
    ];
  });
  return `# fish completion for openledger: openledger completion fish > ~/.config/fish/completions/openledger.fish
function __openledger_at
  set -l typed (commandline -opc)[2..-1]
  set -l words (string match -v -- '-*' $typed)
  test "$words[1..2]" = "$argv"; or test "$words[1]" = "$argv"; or test -z "$words$argv"
end
${lines.join("\n")}
`;
}

function caseLabel({ path }: Pick<Node, "path">): string {
  return path.length === 0 ? '""' : `" ${path.join(" ")}"`;
}

/** Single quotes for all three shells; what is inside has none. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "’").replaceAll("\n", " ")}'`;
}
