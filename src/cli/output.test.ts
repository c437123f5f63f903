import { expect, test } from "vitest";
import { counted, openOutput } from "./output.ts";

function outputTo(isTerminal: boolean) {
  const said: string[] = [];
  const write = (text: string): void => void said.push(text);
  const output = openOutput({ write, writeError: write, isTerminal, width: 20 }, { json: false, colour: false });
  return { said, output };
}

test("a log has one line for each kind of work, a terminal every step on the same line", () => {
  const steps = [
    "reading 0/3 a",
    "reading 1/3 b",
    "asked 10 of 20 questions",
    "asked 20 of 20 questions",
    "reading 2/3 c",
  ];
  const log = outputTo(false);
  for (const step of steps) log.output.progress(step);
  expect(log.said).toEqual(["reading 0/3 a\n", "asked 10 of 20 questions\n", "reading 2/3 c\n"]);
  const terminal = outputTo(true);
  for (const step of steps) terminal.output.progress(step);
  expect(terminal.said.filter((text) => !text.startsWith("\r"))).toEqual(steps.map((step) => step.slice(0, 19)));
  expect(terminal.said.at(-2)).toBe("\r\x1b[2K");
});

test("one thing is no things", () => {
  expect([0, 1, 2].map((count) => counted(count, "record"))).toEqual(["0 records", "1 record", "2 records"]);
});
