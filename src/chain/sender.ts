import {
  type Abi,
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  decodeErrorResult,
  encodeDeployData,
  encodeFunctionData,
  type Hex,
  HttpRequestError,
  http,
  type PublicClient,
  type TransactionReceipt,
} from "viem";
import type { LocalAccount } from "viem/accounts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { callNode } from "./rpc.ts";

export interface SenderOptions {
  readonly url: string;
  /** The chain does not mine by itself. */
  readonly mines: boolean;
  /** Makes what was mined outlive the chain's process, where it would not by itself. */
  readonly keep?: () => Promise<Result<unknown>>;
}

/**
 * Sends transactions one after the other: it owns the nonces of its accounts, and on a chain that does not mine by itself it mines.
 * A transaction is confirmed when its receipt is there and the chain keeps it; one that reverts is refused with the contract's own error.
 */
export class Sender {
  readonly client: PublicClient;
  readonly #url: string;
  readonly #mines: boolean;
  readonly #keep: SenderOptions["keep"];
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: SenderOptions) {
    this.#url = options.url;
    this.#mines = options.mines;
    this.#keep = options.keep;
    this.client = createPublicClient({
      transport: http(options.url, { retryCount: 2, timeout: 20_000 }),
      pollingInterval: 100,
    });
  }

  /** Deploys a contract; its address. */
  async deploy(from: LocalAccount, abi: Abi, bytecode: Hex, args: readonly unknown[]): Promise<Result<Hex>> {
    const receipt = await this.#enqueue(from, undefined, encodeDeployData({ abi, bytecode, args }));
    if (!receipt.ok) return receipt;
    const address = receipt.value.contractAddress;
    return address ? ok(address) : refuse("chain_unavailable", "the deployment made no contract");
  }

  /** Calls a function in a transaction, after a dry run that names the reason if it would revert. */
  async send(
    from: LocalAccount,
    call: {
      readonly to: Hex;
      readonly abi: Abi;
      readonly name: string;
      readonly args: readonly unknown[];
      /** At least so much gas: an estimate is too low where a call within may fail without the whole failing. */
      readonly gasMin?: bigint;
    },
  ): Promise<Result<TransactionReceipt>> {
    const data = encodeFunctionData({ abi: call.abi, functionName: call.name, args: call.args });
    return this.#enqueue(from, call.to, data, call.abi, call.gasMin);
  }

  /** Runs a read; what goes wrong becomes a refusal. */
  async read<T>(run: (client: PublicClient) => Promise<T>): Promise<Result<T>> {
    try {
      return ok(await run(this.client));
    } catch (error) {
      return { ok: false, error: chainRefusal(error) };
    }
  }

  /** Mines a block with the present time, on a chain that waits to be told. */
  async mine(): Promise<Result<void>> {
    if (!this.#mines) return ok(undefined);
    const mined = await callNode(this.#url, "evm_mine");
    return mined.ok ? ok(undefined) : mined;
  }

  #enqueue(
    from: LocalAccount,
    to: Hex | undefined,
    data: Hex,
    abi?: Abi,
    gasMin = 0n,
  ): Promise<Result<TransactionReceipt>> {
    const next = this.#queue.then(() => this.#transact(from, to, data, abi, gasMin));
    this.#queue = next;
    return next;
  }

  async #transact(
    from: LocalAccount,
    to: Hex | undefined,
    data: Hex,
    abi: Abi | undefined,
    gasMin: bigint,
  ): Promise<Result<TransactionReceipt>> {
    try {
      const fresh = await this.mine();
      if (!fresh.ok) return fresh;
      const request = { account: from.address, data, ...(to === undefined ? {} : { to }) };
      const [gas, fees, nonce, chainId] = await Promise.all([
        this.client.estimateGas(request),
        this.client.estimateFeesPerGas(),
        this.client.getTransactionCount({ address: from.address, blockTag: "pending" }),
        this.client.getChainId(),
      ]);
      const serializedTransaction = await from.signTransaction({
        ...{
          type: "eip1559",
          chainId,
          nonce,
          data,
          gas: larger((gas * 12n) / 10n, gasMin),
          ...(to === undefined ? {} : { to }),
        },
        ...{ maxFeePerGas: fees.maxFeePerGas, maxPriorityFeePerGas: fees.maxPriorityFeePerGas },
      });
      const hash = await this.client.sendRawTransaction({ serializedTransaction });
      const mined = await this.mine();
      if (!mined.ok) return mined;
      const receipt = await this.client.waitForTransactionReceipt({ hash, timeout: 60_000 });
      if (receipt.status !== "success") return refuse("chain_unavailable", `transaction ${hash} reverted`);
      // What comes of it is journalled next, and the journal is durable: the chain must not know less after a crash.
      const kept = (await this.#keep?.()) ?? ok(undefined);
      return kept.ok ? ok(receipt) : kept;
    } catch (error) {
      return { ok: false, error: chainRefusal(error, abi) };
    }
  }
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** What a contract or a node said, as a refusal: its error's name where there is one. */
export function chainRefusal(error: unknown, abi?: Abi): Refusal {
  const revert = error instanceof BaseError ? revertName(error, abi) : undefined;
  if (revert !== undefined)
    return { code: revertCodes.get(revert) ?? "conflict", message: `the contract refused: ${revert}` };
  const message =
    error instanceof BaseError
      ? (unreached(error) ?? error.shortMessage)
      : error instanceof Error
        ? error.message
        : String(error);
  return { code: "chain_unavailable", message, hint: "check that the chain's RPC endpoint answers" };
}

/** An endpoint's path and query are often its password: only where it is may be told. */
function unreached(error: BaseError): string | undefined {
  const failed = error.walk((cause) => cause instanceof HttpRequestError);
  if (!(failed instanceof HttpRequestError)) return undefined;
  if (!URL.canParse(failed.url)) return "the chain's RPC endpoint is not a URL";
  const { host } = new URL(failed.url);
  return failed.status === undefined ? `${host} does not answer` : `${host} answers with ${failed.status}`;
}

const revertCodes = new Map<string, Refusal["code"]>([
  ["NotFinal", "epoch_not_final"],
  ["WindowStillRuns", "epoch_not_final"],
  ["NothingDue", "nothing_to_claim"],
  ["NotBound", "forbidden"],
  ["NotEntitled", "forbidden"],
  ["NotProposer", "forbidden"],
  ["NotAttestor", "forbidden"],
  ["InvalidProof", "proof_invalid"],
  ["UnknownParent", "not_found"],
  ["UnknownLedger", "not_found"],
]);

function revertName(error: BaseError, abi?: Abi): string | undefined {
  const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  if (reverted instanceof ContractFunctionRevertedError) return reverted.data?.errorName ?? reverted.reason;
  const data = revertData(error);
  if (data === undefined || abi === undefined) return data === undefined ? undefined : `error ${data.slice(0, 10)}`;
  try {
    return decodeErrorResult({ abi, data }).errorName;
  } catch {
    return `error ${data.slice(0, 10)}`;
  }
}

function revertData(error: BaseError): Hex | undefined {
  const carrier = error.walk(
    (cause) => typeof cause === "object" && cause !== null && "data" in cause && typeof cause.data === "string",
  );
  if (typeof carrier !== "object" || carrier === null || !("data" in carrier)) return undefined;
  return typeof carrier.data === "string" && carrier.data.startsWith("0x") ? `0x${carrier.data.slice(2)}` : undefined;
}
