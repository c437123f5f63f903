import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type LocalAccount, mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
import { openAdoptedChain } from "../chain/adoptedChain.ts";
import { type Anvil, startAnvil } from "../chain/anvil.ts";
import { deployContracts } from "../chain/deploy.ts";
import { openEvmChain } from "../chain/evmChain.ts";
import { callNode } from "../chain/rpc.ts";
import { Sender, type SenderOptions } from "../chain/sender.ts";
import { fromHex, padAddress, parseHex, toHex, u64, utf8 } from "../core/bytes.ts";
import { addressOf } from "../core/eip712.ts";
import { keccak256 } from "../core/hash.ts";
import { defaultPolicyBps, type FeePolicy } from "../core/policy.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import type { ChildEvent } from "../host/supervisor.ts";
import type { Chain, ContractAddresses } from "../ledger/chain.ts";
import { creditChain } from "../ledger/creditChain.ts";
import type { Children } from "./children.ts";
import { openRelayPart, type RelayOptions, type RelayPart } from "./relayPart.ts";
import type { Secrets } from "./secrets.ts";

/** The chain as this node uses it: the contracts, its own account, and accounts that the demonstration may act as. */
export interface ChainPart {
  readonly chain: Chain;
  readonly policy: FeePolicy;
  /** Accounts of the development chain's own mnemonic; undefined on a chain that is not ours. */
  readonly actor: ((index: number) => LocalAccount) | undefined;
  /** Where the chain is asked; undefined for a ledger on credit. */
  readonly rpcUrl: string | undefined;
  readonly relay: RelayPart | undefined;
  /** Blocks that the chain may still take back. */
  readonly lagBlocks: number;
  /** The chain is the node's own child, whose money is play money and whose periods are seconds. */
  readonly isDevelopment: boolean;
  /** The ledger began on credit and went on upon this chain: see {@link ../core/move.ts}. */
  readonly isMoved: boolean;
  /** Of a chain that is the node's own child: mines what others have sent there, and keeps it. */
  readonly tend?: () => Promise<Result<unknown>>;
  /** What the node has on the chain; of a ledger that moves or has moved. */
  readonly funds?: () => Promise<Result<Funds>>;
}

export interface Funds {
  readonly openNano: bigint;
  /** 0 once it is posted. */
  readonly bondNano: bigint;
}

export interface ChainPartOptions {
  readonly data: string;
  readonly secrets: Secrets;
  readonly children: Children;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly onEvent: (event: ChildEvent) => void;
  readonly say: (text: string) => void;
  /** Of a ledger that began on credit: it acts under the key that signs its journal. Once it has moved, `chainId` is where to. */
  readonly moved?: { readonly chainId?: number };
  /** The ledger that the data folder holds, and where it is. */
  readonly kept?: { readonly chainId: number; readonly ledger: string };
  readonly relay?: RelayOptions;
  /** A chain of the user's: its endpoint, the node's private key, and the contracts' addresses if they are deployed. */
  readonly external?: { readonly rpcUrl: string; readonly privateKey: string };
}

/** Seconds on the development chain; an hour, a day and more on a real one. */
const developmentPeriods = { epochSeconds: 2, windowSeconds: 2, thawSeconds: 10, noticeSeconds: 2, expirySeconds: 60 };
const realPeriods = {
  epochSeconds: 3_600,
  windowSeconds: 86_400,
  thawSeconds: 172_800,
  noticeSeconds: 604_800,
  expirySeconds: 31_536_000,
};
/** Twelve blocks are seldom taken back on any chain. */
const LAG_BLOCKS = 12;
/** What the node deposits for its API-key accounts on the development chain. */
export const DEVELOPMENT_DEPOSIT_NANO = 1_000_000_000_000n;
const BOND_NANO = 1_000_000_000_000n;
/** Play money for the fees of a development chain. */
const GAS_WEI = 10n ** 19n;

export async function openChainPart(options: ChainPartOptions): Promise<Result<ChainPart>> {
  const place = options.external === undefined ? await openDevelopmentChain(options) : await openExternalChain(options);
  if (!place.ok) return place;
  const { rpcUrl, account, anvil } = place.value;
  const [mines, keep] = [anvil !== undefined, anvil && (() => anvil.snapshot())];
  const sender = new Sender({ url: rpcUrl, mines, ...(keep && { keep }) });
  const chainId = await sender.read((client) => client.getChainId());
  if (!chainId.ok) return chainId;
  const expected = options.moved?.chainId ?? options.kept?.chainId ?? chainId.value;
  if (expected !== chainId.value)
    return refuse("conflict", `the ledger is on chain ${expected}, and this is chain ${chainId.value}`, {
      hint: "name its own chain with CHAIN_RPC_URL; without it, the node's own development chain is meant",
    });
  const needsGas = options.moved !== undefined || (anvil === undefined && options.kept === undefined);
  const fuelled = needsGas ? await checkGas(sender, account, chainId.value, options) : ok(undefined);
  if (!fuelled.ok) return fuelled;
  const policy = standardPolicy(fromHex(account.address));
  const periods = anvil === undefined ? realPeriods : developmentPeriods;
  // Its many transactions are kept at once.
  const deployer = new Sender({ url: rpcUrl, mines });
  const found = { ...options, ...(keep && { keep }) };
  const contracts = await findContracts(found, deployer, account, policy, chainId.value, periods);
  if (!contracts.ok) return contracts;
  const setup = {
    ...periods,
    salt: new Uint8Array(32),
    bondNano: BOND_NANO,
    signer: addressOf(options.secrets.signer),
  };
  const kept = { data: options.data, sender, account, chainId: chainId.value, contracts: contracts.value };
  const relay = await openRelayPart({ ...kept, isOwn: mines }, options.relay ?? {});
  if (!relay.ok) return relay;
  const parts = {
    ...{ ...kept, setup, ...(relay.value && { relay: fromHex(relay.value.relay.contract) }) },
    ...(options.kept && { kept: fromHex(options.kept.ledger) }),
  };
  const lagBlocks = anvil === undefined ? LAG_BLOCKS : 0;
  const tended = anvil && { tend: () => anvil.tend() };
  const shared = { policy, rpcUrl, lagBlocks, isDevelopment: mines, relay: relay.value, ...tended };
  if (options.moved !== undefined) {
    const chain = openAdoptedChain(parts);
    const funds = () => fundsOf(chain);
    return ok({ ...shared, chain, funds, actor: undefined, isMoved: true });
  }
  const actor =
    anvil === undefined ? undefined : (index: number) => mnemonicToAccount(anvil.mnemonic, { addressIndex: index });
  return ok({ ...shared, chain: openEvmChain(parts), actor, isMoved: false });
}

async function checkGas(
  sender: Sender,
  { address }: LocalAccount,
  chainId: number,
  { moved }: ChainPartOptions,
): Promise<Result<void>> {
  const gas = await sender.read((client) => client.getBalance({ address }));
  if (!gas.ok || gas.value > 0n) return gas.ok ? ok(undefined) : gas;
  return refuse(
    "insufficient_funds",
    `on chain ${chainId} the node, ${address.toLowerCase()}, has nothing to pay gas with`,
    {
      hint: `it acts there under ${moved === undefined ? "OPENLEDGER_PRIVATE_KEY" : "the key that signs its journal"}: send it some coins`,
    },
  );
}

async function fundsOf(chain: ReturnType<typeof openAdoptedChain>): Promise<Result<Funds>> {
  const [open, bonded] = [await chain.balance(chain.node), await chain.bonded()];
  if (!open.ok) return open;
  if (!bonded.ok) return bonded;
  return ok({ openNano: open.value, bondNano: bonded.value ? 0n : BOND_NANO });
}

/** A ledger on credit: the node's address is that of its signing key, and no process is started. */
export function openCreditPart(secrets: Secrets): ChainPart {
  const node = addressOf(secrets.signer);
  return {
    ...{ chain: creditChain(node), policy: standardPolicy(node), actor: undefined, rpcUrl: undefined },
    ...{ lagBlocks: 0, isDevelopment: false, isMoved: false, relay: undefined },
  };
}

/** The node's treasury is its own account; reserves are purses that governance pays from. */
export function standardPolicy(owner: Uint8Array): FeePolicy {
  return {
    ...defaultPolicyBps,
    treasuryPayee: padAddress(owner),
    reservePayee: keccak256(utf8("openledger purse: validation, disputes and refunds")),
    datanetReservePayee: keccak256(utf8("openledger purse: reserved for datanets")),
  };
}

interface Place {
  readonly rpcUrl: string;
  readonly account: LocalAccount;
  readonly anvil: Anvil | undefined;
}

async function openDevelopmentChain(options: ChainPartOptions): Promise<Result<Place>> {
  const { data, randomBytes, onEvent } = options;
  const anvil = await startAnvil({ data, randomBytes, onEvent });
  if (!anvil.ok) return anvil;
  options.children.add({ name: "anvil", ...anvil.value });
  const { rpcUrl, mnemonic } = anvil.value;
  if (options.moved === undefined)
    return ok({ rpcUrl, account: mnemonicToAccount(mnemonic, { addressIndex: 0 }), anvil: anvil.value });
  const account = signingAccount(options);
  const given = await callNode(rpcUrl, "anvil_setBalance", [account.address, toHex(u64(GAS_WEI))]);
  return given.ok ? ok({ rpcUrl, account, anvil: anvil.value }) : given;
}

/** The key that signs the journal, as an account. */
function signingAccount({ secrets }: ChainPartOptions): LocalAccount {
  return privateKeyToAccount(toHex(secrets.signer));
}

async function openExternalChain(options: ChainPartOptions): Promise<Result<Place>> {
  const external = options.external!;
  if (!/^https?:/.test(external.rpcUrl) || !URL.canParse(external.rpcUrl))
    return refuse("invalid_request", "CHAIN_RPC_URL is not an http or https URL", {
      hint: "for example CHAIN_RPC_URL=https://rpc.example.org; without it the node runs a development chain",
    });
  if (options.moved !== undefined)
    return ok({ rpcUrl: external.rpcUrl, account: signingAccount(options), anvil: undefined });
  const key = parseHex(external.privateKey);
  if (key?.length !== 32) {
    return refuse("invalid_request", "OPENLEDGER_PRIVATE_KEY is not a private key of 32 bytes in hex", {
      hint: "with CHAIN_RPC_URL the node needs a key of its own that holds gas",
    });
  }
  return ok({ rpcUrl: external.rpcUrl, account: privateKeyToAccount(toHex(key)), anvil: undefined });
}

async function findContracts(
  options: ChainPartOptions & Pick<SenderOptions, "keep">,
  sender: Sender,
  account: LocalAccount,
  policy: FeePolicy,
  chainId: number,
  periods: typeof developmentPeriods,
): Promise<Result<ContractAddresses>> {
  const path = join(options.data, "contracts", `${chainId}.json`);
  const known = parseAddresses(await readIfThere(path));
  if (known !== undefined) {
    const code = await sender.read((client) => client.getCode({ address: toHex(known.settlement) }));
    if (!code.ok) return code;
    if (code.value !== undefined) return ok(known);
    return refuse("data_folder_damaged", `the chain does not hold the contracts that ${path} names`, {
      hint: "restore the chain's state, or start with another data folder",
    });
  }
  if (options.moved?.chainId !== undefined || options.kept !== undefined)
    return refuse("data_folder_damaged", `${path} does not name the contracts that the ledger is on`, {
      hint: "restore it from a backup; ledger.json in the data folder names them too",
    });
  options.say("deploying the contracts");
  const { windowSeconds, noticeSeconds, expirySeconds } = periods;
  const floors = { windowSeconds, noticeSeconds, expirySeconds, bondNano: BOND_NANO };
  const deployed = await deployContracts(sender, account, policy, floors);
  if (!deployed.ok) return deployed;
  // What the file names must not be lost with the chain's memory.
  const held = (await options.keep?.()) ?? ok(undefined);
  if (!held.ok) return held;
  await mkdir(join(options.data, "contracts"), { recursive: true });
  const addresses = Object.entries(deployed.value).map(([name, address]) => [name, toHex(address)]);
  await writeAtomically(path, `${JSON.stringify(Object.fromEntries(addresses), undefined, 2)}\n`);
  return deployed;
}

function parseAddresses(text: string | undefined): ContractAddresses | undefined {
  if (text === undefined) return undefined;
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(parsed));
  const [token, registry, policy, escrow, settlement] = ["token", "registry", "policy", "escrow", "settlement"].map(
    (name) => {
      const text = fields.get(name);
      const bytes = typeof text === "string" ? parseHex(text) : undefined;
      return bytes?.length === 20 ? bytes : undefined;
    },
  );
  if (token === undefined || registry === undefined || policy === undefined) return undefined;
  return escrow === undefined || settlement === undefined ? undefined : { token, registry, policy, escrow, settlement };
}
