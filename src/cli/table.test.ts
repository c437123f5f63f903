import fc from "fast-check";
import { expect, test } from "vitest";
import { formatTable } from "./table.ts";

const cell = fc.oneof(
  fc.string({ maxLength: 90 }),
  fc.integer(),
  fc.constantFrom("0.25", "100", "-3.5", "12.0 %", "0x".padEnd(66, "a"), undefined, null),
);

test("a table never loses an id or a number, and never leaves the terminal but for what cannot be cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ id: fc.stringMatching(/^0x[0-9a-f]{1,64}$/), one: cell, two: cell, three: cell }), {
        minLength: 1,
        maxLength: 5,
      }),
      fc.integer({ min: 40, max: 130 }),
      (rows, width) => {
        const { heads, lines } = formatTable(rows, width);
        expect(lines.length).toBe(rows.length * heads.length);
        const all = lines.join("\n");
        for (const { id } of rows) expect(all).toContain(id);
        for (const line of [...heads, ...lines])
          expect(line.length <= width || !/\s/.test(line.trim()) || line.trim().length <= width).toBe(true);
      },
    ),
  );
});

test("points stand below points, and what is missing breaks no column of numbers", () => {
  const rows = [
    { who: "ann", OPEN: "100", part: "9.5 %", count: 3 },
    { who: "ben", OPEN: "0.0025", part: "10.0 %", count: undefined },
    { who: "cay", OPEN: "-1.5", part: "0.0 %", count: 12 },
  ];
  const { heads, lines } = formatTable(rows, 80);
  expect([...heads, ...lines]).toEqual([
    "  who      OPEN    part  count",
    "  ann  100        9.5 %      3",
    "  ben    0.0025  10.0 %      –",
    "  cay   -1.5      0.0 %     12",
  ]);
});

test("texts are cut before a row takes two lines, and ids never", () => {
  const rows = [{ id: "0x0123456789abcdef0123456789abcdef", text: "a text of several words that goes on", n: 1 }];
  expect(formatTable(rows, 64).lines).toEqual(["  0x0123456789abcdef0123456789abcdef  a text of several word…  1"]);
  const { heads, lines } = formatTable(rows, 50);
  expect([...heads, ...lines]).toEqual([
    "  id",
    "      text                                  n",
    "  0x0123456789abcdef0123456789abcdef",
    "      a text of several words that goes on  1",
  ]);
});
