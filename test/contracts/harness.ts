import { execFileSync } from "node:child_process";
import { mnemonicToAccount } from "viem/accounts";
import type { Anvil } from "../../src/chain/anvil.ts";
import type { Artifact } from "../../src/chain/deploy.ts";
import { callNode } from "../../src/chain/rpc.ts";
import { Sender } from "../../src/chain/sender.ts";
import { unwrap } from "../../src/core/result.ts";
import { testChain } from "../support/testChain.ts";

/** A real chain, a sender to it, and time that passes when it is told to. */
export interface Bench {
  readonly chain: Anvil;
  readonly sender: Sender;
  account(index: number): ReturnType<typeof mnemonicToAccount>;
  pass(seconds: number): Promise<void>;
}

export async function openBench(): Promise<Bench> {
  const chain = await testChain();
  const sender = new Sender({ url: chain.rpcUrl, mines: true });
  return {
    chain,
    sender,
    account: (index) => mnemonicToAccount(chain.mnemonic, { addressIndex: index }),
    pass: async (seconds) => {
      unwrap(await callNode(chain.rpcUrl, "evm_increaseTime", [seconds]));
      unwrap(await sender.mine());
    },
  };
}

/** Compiles a Solidity file of `contracts/`, a test harness that is never shipped. */
export function compileHarness(file: string, name: string): Artifact {
  const output = execFileSync("node", ["contracts/build.mjs", "--print", file], { encoding: "utf8" });
  const contracts: Record<string, Artifact> = JSON.parse(output);
  const artifact = contracts[name];
  if (artifact === undefined) throw new Error(`${file} has no contract ${name}`);
  return artifact;
}
