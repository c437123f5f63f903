import type { Refusal } from "../core/result.ts";
import { formatTable, type TableRow } from "./table.ts";

/**
 * What a command says. People get tables and colour on a terminal; `--json` gives one JSON value on stdout and nothing else.
 * Progress and warnings go to stderr, so that stdout can always be piped.
 */
export interface Output {
  readonly json: boolean;
  readonly colour: boolean;
  /** Columns of the terminal. */
  readonly width: number;
  /** A line for people; silent under `--json`. */
  line(text?: string): void;
  heading(text: string): void;
  /** `none` is said where there are no rows: what would make one. */
  table(rows: readonly TableRow[], none?: string): void;
  /** The command's result: printed whole under `--json`, else left to the lines above. */
  result(value: unknown): void;
  /** What is being done now, and how far it is; in a log, only the first of each kind. */
  progress(text: string): void;
  refusal(refusal: Refusal): void;
}

export interface Terminal {
  write(text: string): void;
  writeError(text: string): void;
  readonly isTerminal: boolean;
  readonly width: number;
}

const codes = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33", cyan: "36" } as const;
export type Style = keyof typeof codes;

export function openOutput(terminal: Terminal, options: { readonly json: boolean; readonly colour: boolean }): Output {
  const { json } = options;
  const colour = options.colour && terminal.isTerminal && !json;
  let progressShown = false;
  let lastWork: string | undefined;
  const clearProgress = () => {
    if (progressShown) terminal.writeError("\r\x1b[2K");
    progressShown = false;
  };
  const line = (text = "") => {
    clearProgress();
    if (!json) terminal.write(`${text}\n`);
  };
  return {
    json,
    colour,
    width: terminal.width,
    line,
    heading: (text) => line(`\n${paint(colour, "bold", text)}`),
    table: (rows, none) => {
      if (rows.length === 0) return line(none === undefined ? "  (none)" : `  (none)  ${none}`);
      const { heads, lines } = formatTable(rows, terminal.width);
      for (const text of heads) line(paint(colour, "dim", text));
      for (const text of lines) line(text);
    },
    result: (value) => {
      clearProgress();
      if (json) terminal.write(`${toJson(value)}\n`);
    },
    progress: (text) => {
      if (json) return;
      clearProgress();
      progressShown = terminal.isTerminal;
      if (terminal.isTerminal) terminal.writeError(paint(colour, "dim", text.slice(0, terminal.width - 1)));
      // A log has a line for each kind of work, not one for every step of it.
      else if (workOf(text) !== lastWork) terminal.writeError(`${text}\n`);
      lastWork = workOf(text);
    },
    refusal: (refusal) => {
      clearProgress();
      if (json) terminal.write(`${toJson({ error: refusal })}\n`);
      else terminal.writeError(formatRefusal(refusal, colour));
    },
  };
}

/** What is being done, without how far it is: the text up to its first number. */
function workOf(text: string): string {
  return text.replace(/\s*\d.*$/s, "");
}

export function paint(colour: boolean, style: Style, text: string): string {
  return colour ? `\x1b[${codes[style]}m${text}\x1b[0m` : text;
}

/** JSON in which whole numbers beyond 2^53 stand as decimal strings. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => (typeof item === "bigint" ? item.toString() : item));
}

/** A number of things; the noun's plural is its regular one. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** A payee as people write it: an address without the zeros before it. */
export function payeeText(id: string): string {
  return id.replace(/^(0x)0{24}(?!0{40}$)/, "$1");
}

/** What part of the whole it is: `12.5 %`, and 0 of nothing. */
export function percent(part: number, whole: number, decimals = 1): string {
  return `${(whole === 0 ? 0 : (100 * part) / whole).toFixed(decimals)} %`;
}

function formatRefusal(refusal: Refusal, colour: boolean): string {
  const hint = refusal.hint === undefined ? "" : `  ${paint(colour, "dim", refusal.hint)}\n`;
  return `${paint(colour, "red", "refused")} ${refusal.message} (${refusal.code})\n${hint}`;
}
