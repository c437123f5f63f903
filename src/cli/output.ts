import type { Refusal } from "../core/result.ts";

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
  table(rows: readonly Readonly<Record<string, unknown>>[], columns?: readonly string[]): void;
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
    table: (rows, columns) => {
      for (const text of formatTable(rows, columns, colour, terminal.width)) line(text);
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

/** Lines of a table: numbers to the right, long cells cut at the terminal's width with an ellipsis. */
/** A number of things; the noun's plural is its regular one. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function formatTable(
  rows: readonly Readonly<Record<string, unknown>>[],
  columns: readonly string[] = Object.keys(rows[0] ?? {}),
  colour = false,
  width = 120,
): string[] {
  if (rows.length === 0) return ["  (none)"];
  const cells = rows.map((row) => columns.map((column) => cellText(row[column])));
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => row[i]!.length)));
  shrink(widths, width - 2 * columns.length - 2);
  const right = columns.map((column) => rows.every((row) => isNumeric(row[column])));
  const format = (row: readonly string[]) =>
    `  ${row.map((cell, i) => align(cell, widths[i]!, right[i]!)).join("  ")}`.trimEnd();
  return [paint(colour, "dim", format(columns)), ...cells.map(format)];
}

function shrink(widths: number[], available: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - available;
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    if (widths[widest]! <= 12) return;
    widths[widest]! -= 1;
    excess -= 1;
  }
}

function align(cell: string, width: number, right: boolean): string {
  const cut = cell.length > width ? `${cell.slice(0, width - 1)}…` : cell;
  return right ? cut.padStart(width) : cut.padEnd(width);
}

function cellText(value: unknown): string {
  if (value === undefined || value === null) return "–";
  if (Array.isArray(value)) return value.join(", ");
  return String(value).replaceAll(/\s+/g, " ");
}

function isNumeric(value: unknown): boolean {
  return (
    typeof value === "number" || typeof value === "bigint" || (typeof value === "string" && /^-?[\d.,]+%?$/.test(value))
  );
}

function formatRefusal(refusal: Refusal, colour: boolean): string {
  const hint = refusal.hint === undefined ? "" : `  ${paint(colour, "dim", refusal.hint)}\n`;
  return `${paint(colour, "red", "refused")} ${refusal.message} (${refusal.code})\n${hint}`;
}
