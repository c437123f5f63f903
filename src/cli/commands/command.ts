import type { z } from "zod";
import type { Refusal, RefusalCode, Result } from "../../core/result.ts";
import type { BackupDone, RestoreDone } from "../../node/backup.ts";
import type { BackupOptions } from "../../node/backupPlace.ts";
import type { Children, ProcessHooks } from "../../node/children.ts";
import type { MoveDone, MoveOptions } from "../../node/ledgerMovePlan.ts";
import type { EmbeddingOptions, NodeOptions, RunningNode } from "../../node/nodeOptions.ts";
import { parseInput } from "../../protocol/parse.ts";
import type { Client } from "../client.ts";
import type { Output, Terminal } from "../output.ts";

/** What a command can reach. Everything comes from here, so that a test can be the world. */
export interface Shell {
  readonly output: Output;
  readonly world: World;
  /** The node's data folder. */
  readonly data: string;
  /** The node that is meant; refuses where there is none. With `test` its test world, by that world's admin key. */
  client(world?: "test"): Promise<Result<Client>>;
  /** There is a result to print, and still the command ends with this refusal's exit code. */
  endAs(code: RefusalCode): void;
}

export interface World {
  readonly terminal: Terminal;
  readonly environment: Environment;
  readonly fetch: typeof fetch;
  readonly hooks: ProcessHooks;
  nowMs(): number;
  sleep(ms: number): Promise<void>;
  randomId(): string;
  /** Asks a person yes or no; undefined where there is nobody to ask. */
  confirm(question: string): Promise<boolean | undefined>;
  startNode(options: NodeOptions, children: Children): Promise<Result<RunningNode>>;
  runDemo(options: DemoOptions, children: Children): Promise<Result<Record<string, unknown>>>;
  backUp(options: BackupOptions, children: Children): Promise<Result<BackupDone>>;
  moveLedger(options: MoveOptions, children: Children): Promise<Result<MoveDone>>;
  restore(options: BackupOptions, children: Children): Promise<Result<RestoreDone>>;
}

export interface Environment {
  /** `DATABASE_URL`. */
  readonly databaseUrl?: string;
  /** `CHAIN_RPC_URL` and `OPENLEDGER_PRIVATE_KEY`. */
  readonly chain?: { readonly rpcUrl: string; readonly privateKey: string };
  /** `OPENLEDGER_RATE`: what `--rate` says. */
  readonly rate?: string;
  /** `OPENLEDGER_EMBEDDINGS_URL`, `_MODEL` and `_KEY`. */
  readonly embeddings?: EmbeddingOptions;
  /** `OPENLEDGER_DEBUG=1`: unexpected errors show their stack. */
  readonly isDebug: boolean;
}

export interface DemoOptions {
  readonly data: string;
  readonly port: number;
  readonly once: boolean;
  readonly repo?: string;
  readonly output: Output;
}

/** A command with its input type. `input` sees options by their camel-case names and arguments by theirs, as texts. */
export interface CommandSpec<I> {
  /** Its words, for example `datanet create`. */
  readonly path: string;
  readonly summary: string;
  /** As commander writes them, `<name>` or `[name]`, with what they mean. */
  readonly arguments?: readonly (readonly [flags: string, about: string])[];
  readonly options?: readonly (readonly [flags: string, about: string])[];
  readonly examples: readonly string[];
  readonly input: z.ZodType<I>;
  /** Tells people as it goes, and returns what `--json` prints. */
  run(input: I, shell: Shell): Promise<Result<unknown>>;
}

/** A command with its types closed over: what the table holds. */
export interface CliCommand extends Omit<CommandSpec<never>, "input" | "run"> {
  run(input: unknown, shell: Shell): Promise<Result<unknown>>;
}

export function command<I>({ input: schema, run, ...rest }: CommandSpec<I>): CliCommand {
  return {
    ...rest,
    run: async (raw, shell) => {
      const input = parseInput(schema, raw);
      return input.ok ? run(input.value, shell) : { ok: false, error: asTyped(input.error, rest) };
    },
  };
}

/** A refused field under the name that people type: `royaltyIn` is `--royalty-in`, an argument is `<name>`. */
function asTyped(refusal: Refusal, { path, options = [] }: Pick<CliCommand, "path" | "options">): Refusal {
  const [field, ...within] = refusal.field?.split(".") ?? [];
  if (field === undefined) return refusal;
  const long = `--${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  const isOption = options.some(([flags]) => flags.split(/[ ,]/).includes(long));
  const name = isOption ? long : `<${field}>`;
  const said = refusal.message.replace(`${[field, ...within].join(".")}: `, "");
  const message = /^(?:is|must be) /.test(said) ? `${name} ${said}` : `${name}: ${said}`;
  return { ...refusal, message, field, hint: refusal.hint ?? `openledger ${path} --help` };
}
