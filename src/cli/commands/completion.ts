import type { Command } from "commander";
import { z } from "zod";
import { ok } from "../../core/result.ts";
import { completionScript, shells } from "../completion.ts";
import { type CliCommand, command } from "./command.ts";

/** `tree` is asked for late: the command is itself part of the tree. */
export function completionCommand(tree: () => Command): CliCommand {
  return command({
    path: "completion",
    summary: "A completion script for your shell",
    arguments: [["<shell>", shells.join(", ")]],
    examples: [
      "source <(openledger completion bash)",
      "openledger completion fish > ~/.config/fish/completions/openledger.fish",
    ],
    input: z.object({ shell: z.enum(shells, { error: `one of ${shells.join(", ")}` }) }),
    run: async ({ shell }, { output }) => {
      const script = completionScript(shell, tree());
      output.line(script.trimEnd());
      return ok({ shell, script });
    },
  });
}
