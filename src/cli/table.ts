/** A row of a table, by the names of its columns; the first row says which there are. */
export type TableRow = Readonly<Record<string, unknown>>;

/** Texts are cut down to this before a table is folded. */
const TEXT_WIDTH_MIN = 20;
/** An id of 32 bytes in hex; what is longer and without a space is a text like any other. */
const WHOLE_WIDTH_MAX = 66;
const INDENT = 2;
const GAP = 2;
const NUMBER = /^[-−]?\d+(?:\.(\d+))?(?: ?(?:%|OPEN))?$/;

interface Column {
  readonly name: string;
  readonly cells: readonly string[];
  readonly isNumber: boolean;
  /** Ids, times, numbers and names are never cut: half of one is of no use. */
  readonly isWhole: boolean;
  width: number;
}

/**
 * Lines of a table in so many columns of a terminal: numbers to the right with their points below each other, long texts cut with an ellipsis. Where that is
 * not enough, a row takes several lines, under as many lines of heads.
 */
export function formatTable(
  rows: readonly TableRow[],
  width: number,
): { readonly heads: readonly string[]; readonly lines: readonly string[] } {
  const columns = Object.keys(rows[0] ?? {}).map((name) => columnOf(name, rows));
  const available = Math.max(TEXT_WIDTH_MIN, width - INDENT);
  shrink(columns, available);
  const folds = folded(columns, available);
  const format = (cellOf: (column: Column) => string): string[] =>
    folds.map((fold, at) => {
      const line = fold.map((column) => align(cellOf(column), column)).join(" ".repeat(GAP));
      return `${" ".repeat(at === 0 ? INDENT : 3 * INDENT)}${line}`.trimEnd();
    });
  return { heads: format(({ name }) => name), lines: rows.flatMap((_row, i) => format(({ cells }) => cells[i]!)) };
}

function columnOf(name: string, rows: readonly TableRow[]): Column {
  const values = rows.map((row) => row[name]);
  const texts = values.map(cellText);
  const numbers = texts.filter((_text, i) => values[i] !== undefined && values[i] !== null && values[i] !== "–");
  const isNumber = numbers.length > 0 && numbers.every((text) => NUMBER.test(text));
  const cells = isNumber ? pointsAligned(texts) : texts;
  const isWhole = isNumber || cells.every((cell) => cell.length <= WHOLE_WIDTH_MAX && !cell.includes(" "));
  return { name, cells, isNumber, isWhole, width: Math.max(name.length, ...cells.map((cell) => cell.length)) };
}

function cellText(value: unknown): string {
  if (value === undefined || value === null) return "–";
  if (Array.isArray(value)) return value.join(", ");
  return String(value).replaceAll(/\s+/g, " ");
}

/** Spaces behind the numbers with fewer decimals; a unit stays where it is. */
function pointsAligned(cells: readonly string[]): readonly string[] {
  const fractions = cells.map((cell) => {
    const decimals = NUMBER.exec(cell)?.[1];
    return decimals === undefined ? 0 : decimals.length + 1;
  });
  const most = Math.max(...fractions);
  return cells.map((cell, i) => cell + " ".repeat(NUMBER.test(cell) ? most - fractions[i]! : 0));
}

function shrink(columns: readonly Column[], available: number): void {
  let excess = widthOf(columns) - available;
  // A table that is folded anyway keeps its texts.
  const give = columns.reduce(
    (sum, { isWhole, width }) => sum + (isWhole ? 0 : Math.max(0, width - TEXT_WIDTH_MIN)),
    0,
  );
  if (give < excess) return;
  while (excess > 0) {
    const texts = columns.filter(({ isWhole }) => !isWhole);
    const widest = texts.reduce((one, other) => (other.width > one.width ? other : one));
    widest.width -= 1;
    excess -= 1;
  }
}

/** The columns in as few lines as hold them, in their order. */
function folded(columns: readonly Column[], available: number): readonly (readonly Column[])[] {
  const folds: Column[][] = [[]];
  for (const column of columns) {
    const isFirst = folds.length === 1;
    const room = isFirst ? available : available - 2 * INDENT;
    const line = folds.at(-1)!;
    if (line.length === 0 || widthOf([...line, column]) <= room) line.push(column);
    else folds.push([column]);
    if (!column.isWhole) column.width = Math.min(column.width, available - 2 * INDENT);
  }
  return folds;
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + width, GAP * Math.max(0, columns.length - 1));
}

function align(cell: string, { width, isNumber, isWhole }: Column): string {
  const cut = !isWhole && cell.length > width ? `${cell.slice(0, width - 1)}…` : cell;
  return isNumber ? cut.padStart(width) : cut.padEnd(width);
}
