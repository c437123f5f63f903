import { expect, test } from "vitest";
import { counted, openOutput, payeeText, percent } from "./output.ts";

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

test("a payee that is an address is written as one, and nothing else is cut", () => {
  const address = "d891935a4551e617a702023624c711e557ee393b";
  expect(payeeText(`0x${"0".repeat(24)}${address}`)).toBe(`0x${address}`);
  for (const id of [`0x${"0".repeat(64)}`, `0x${"0".repeat(23)}1${address}`, "acct_1"]) expect(payeeText(id)).toBe(id);
});

test("parts are in percent, and of nothing there are none", () => {
  expect([percent(1, 8), percent(1, 3, 0), percent(0, 0)]).toEqual(["12.5 %", "33 %", "0.0 %"]);
});
