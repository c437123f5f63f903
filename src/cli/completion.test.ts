import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { buildProgram, commands } from "./commands/program.ts";
import { completionScript, shells } from "./completion.ts";
import { runLine } from "./testing/commandLine.ts";

const program = buildProgram(() => undefined);

test.each(shells)("%s completes every command and every option", (shell) => {
  const script = completionScript(shell, program);
  for (const { path, options = [] } of commands) {
    expect(script).toContain(path.split(" ").at(-1));
    for (const [flags] of options) {
      const long = /--[a-z-]+/.exec(flags)![0];
      expect(script).toContain(shell === "fish" ? `-l ${long.slice(2)}` : long);
    }
  }
});

test("bash offers what comes next", () => {
  const offered = (...words: string[]): string[] => {
    const line = ["openledger", ...words].map((word) => `'${word}'`).join(" ");
    const asked = `COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _openledger; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const script = `${completionScript("bash", program)}\n${asked}`;
    return execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim().split("\n");
  };
  expect(offered("da")).toEqual(["datanet"]);
  expect(offered("datanet", "re")).toEqual(["records", "review", "restore"]);
  expect(offered("datanet", "review", "--re")).toEqual(["--reject", "--reason"]);
  expect(offered("--json", "verify", "--o")).toEqual(["--opened"]);
});

test("help stays within the terminal, however narrow", async () => {
  for (const width of [60, 80]) {
    const terminal = (out: string[]) => ({ write: (text: string) => void out.push(text), writeError: () => undefined });
    for (const group of ["", ...new Set(commands.map(({ path }) => path.split(" ")[0]!))]) {
      const out: string[] = [];
      const code = await runLine([...group.split(" ").filter(Boolean), "--help"], {
        terminal: { ...terminal(out), isTerminal: false, width },
      });
      expect(code.code).toBe(0);
      const [told = ""] = out.join("").split("\nExamples:");
      for (const line of told.split("\n").slice(1)) expect(line.length).toBeLessThanOrEqual(width);
    }
  }
});

test("every command has help with its examples", async () => {
  for (const { path, examples, summary } of commands) {
    const { code, out } = await runLine([...path.split(" "), "--help"]);
    expect(code).toBe(0);
    for (const words of [...examples, path]) expect(out).toContain(words);
    expect(out.replace(/\s+/g, " ")).toContain(summary);
  }
});
