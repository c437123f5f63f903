import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { LocalAccount } from "viem/accounts";
import { deployRelay } from "../chain/deploy.ts";
import { EvmRelay } from "../chain/evmRelay.ts";
import type { Sender } from "../chain/sender.ts";
import { parseHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import type { ContractAddresses } from "../ledger/chain.ts";
import type { RelayPolicy } from "../ledger/relayDesk.ts";

/** What a node's owner says of relaying. */
export interface RelayOptions {
  /** OPEN for one ETH of gas, as a decimal text; without it only a chain of the node's own relays. */
  readonly openPerEth?: string;
  readonly everyMs?: number;
  readonly subsidyBps?: number;
}

export interface RelayPart {
  readonly relay: EvmRelay;
  readonly policy: RelayPolicy;
}

export interface RelayPlace {
  readonly data: string;
  readonly sender: Sender;
  readonly chainId: number;
  readonly account: LocalAccount;
  readonly contracts: ContractAddresses;
  /** Its coins are play money. */
  readonly isOwn: boolean;
}

const PLAY_OPEN_PER_ETH = "3000";
const DAY_MS = 86_400_000;
const usual: RelayPolicy = { everyMs: DAY_MS, subsidyBps: 6_000, patienceMs: 365 * DAY_MS };

/** The relay of a node: deployed once, its address beside the other contracts'. Undefined where the owner has not said what gas is worth. */
export async function openRelayPart(place: RelayPlace, options: RelayOptions): Promise<Result<RelayPart | undefined>> {
  const { data, sender, chainId, account, contracts, isOwn } = place;
  const rate = options.openPerEth ?? (isOwn ? PLAY_OPEN_PER_ETH : undefined);
  if (rate === undefined) return ok(undefined);
  const microOpenPerEth = Math.round(Number(rate) * 1e6);
  if (!(microOpenPerEth >= 1 && microOpenPerEth < 2 ** 47))
    return refuse("invalid_request", `"${rate}" is not how many OPEN one ETH is`, { field: "relayRate" });
  const path = join(data, "contracts", `${chainId}.relay`);
  const known = parseHex((await readIfThere(path))?.trim() ?? "");
  const contract = known?.length === 20 ? ok(known) : await deployRelay(sender, account, contracts);
  if (!contract.ok) return contract;
  const code = await sender.read((client) => client.getCode({ address: toHex(contract.value) }));
  if (!code.ok) return code;
  if (code.value === undefined)
    return refuse("data_folder_damaged", `the chain does not hold the contract that ${path} names`, {
      hint: "remove that file: the relay holds no money, and payees agree anew to another one",
    });
  await mkdir(join(data, "contracts"), { recursive: true });
  await writeAtomically(path, `${toHex(contract.value)}\n`);
  const relay = new EvmRelay({
    ...{ sender, chainId, account, contract: contract.value, token: contracts.token, microOpenPerEth },
  });
  const { everyMs = usual.everyMs, subsidyBps = usual.subsidyBps } = options;
  return ok({ relay, policy: { ...usual, everyMs, subsidyBps } });
}
