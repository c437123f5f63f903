import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { boundsFault, parseCombination } from "../../attribution/policy.ts";
import { equalBytes, fromHex, toHex } from "../../core/bytes.ts";
import { openCheckpoint } from "../../core/checkpoint.ts";
import { formatOpen } from "../../core/money.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { type Verdict, type VerifyInput, verifyJournal } from "../../ledger/verify.ts";
import { counted, type Output } from "../output.ts";
import { command, type Shell } from "./command.ts";
import { wholeText } from "./inputs.ts";
import { findTrust, type JournalSource, openJournal, type Trust } from "./journalSource.ts";
import { readOpened, type VerifiedAttribution, verifyOpened } from "./opened.ts";

export const verifyCommand = command({
  path: "verify",
  summary: "Recompute a journal from its files and the chain, and name the first entry that differs",
  arguments: [["[where]", "a folder or a URL that holds a published journal; the data folder's where it is left out"]],
  options: [
    ["--rpc <url>", "the chain's JSON-RPC endpoint; the node's own where it is left out"],
    ["--no-chain", "the journal alone"],
    ["--trust <file>", "the ledger's keys, as a node says them at /api/ledger"],
    ["--opened <file>", "an opened receipt (receipt show --json): recompute its attribution too"],
    ["--index <file>", "for --opened: the index that the receipt names"],
    [
      "--records <file>",
      "for --opened: the datanet's records.jsonl, to ask a model again what it owes to what it read",
    ],
    ["--strict", "for --opened: fail where evidence that only the model can find is not checked"],
    ["--wait <seconds>", "for --opened: wait so long for the receipt to be published"],
  ],
  examples: [
    "openledger verify",
    "openledger verify https://node.example.org --rpc https://rpc.example.org --trust ledger.json",
    "openledger verify ./journal --trust ledger.json --no-chain",
    "openledger verify --opened opened.json --index .openledger/models/npm-docs-1.index",
  ],
  input: z.object({
    ...{ where: wholeText.optional(), rpc: wholeText.optional(), chain: z.boolean().default(true) },
    ...{ trust: wholeText.optional(), opened: wholeText.optional(), index: wholeText.optional() },
    ...{ records: wholeText.optional(), strict: z.boolean().default(false) },
    wait: z.coerce.number().int().min(0).max(3_600).default(0),
  }),
  run: async (input, shell) => {
    const { where: given, rpc, chain, trust: trustFile, opened, index } = input;
    const { output } = shell;
    if ((opened === undefined) !== (index === undefined))
      return refuse("invalid_request", "an opened receipt is verified with its index", {
        hint: "--opened with --index",
      });
    const where = given === undefined ? await defaultPlace(shell) : ok(given);
    if (!where.ok) return where;
    const place = where.value;
    const journal = await openJournal(place, shell.world.fetch);
    if (!journal.ok) return journal;
    const trust = await findTrust(shell, trustFile, place);
    if (!trust.ok) return trust;
    if (opened !== undefined) {
      const awaited = await awaitPublished(opened, input.wait, journal.value, trust.value, shell);
      if (!awaited.ok) return awaited;
    }
    const rpcUrl = chain ? (rpc ?? trust.value.view.rpcUrl) : undefined;
    const onChain = rpcUrl === undefined ? ok(undefined) : await askChain(rpcUrl, trust.value);
    if (!onChain.ok) return onChain;
    const verdict = await verifyJournal({
      ...{ read: journal.value.read, trust: trust.value.trust },
      ...(journal.value.list === undefined ? {} : { list: journal.value.list }),
      ...onChain.value,
      onProgress: (done, total) => output.progress(`${done} of ${total} entries`),
    });
    if (!verdict.ok) return verdict;
    const beyond = methodsFault(verdict.value);
    if (beyond !== undefined) return refuse("verification_failed", beyond);
    showVerdict(verdict.value, journal.value.where, trust.value, rpcUrl, output);
    const result = {
      where: journal.value.where,
      keys: trust.value.from,
      rpc: rpcUrl ?? null,
      ...viewOf(verdict.value),
    };
    if (opened === undefined || index === undefined) return ok(result);
    const attribution = await verifyOpened({
      ...{ opened, index, read: journal.value.read, verdict: verdict.value },
      ...{ data: shell.data, records: input.records },
    });
    if (!attribution.ok) return attribution;
    showAttribution(attribution.value, output);
    const unchecked = attribution.value.engine.find(({ distance }) => distance === undefined);
    return input.strict && unchecked !== undefined
      ? refuse("verification_failed", `${unchecked.kind} evidence is not checked: ${unchecked.why}`)
      : ok({ ...result, attribution: attribution.value });
  },
});

const POLL_MS = 500;

/** A receipt is durable before its entry is published: until it is, or until the time is over. */
async function awaitPublished(
  path: string,
  seconds: number,
  { read }: JournalSource,
  { trust }: Trust,
  { world, output }: Shell,
): Promise<Result<void>> {
  const opened = await readOpened(path);
  if (!opened.ok) return opened;
  for (const untilMs = world.nowMs() + 1_000 * seconds; world.nowMs() < untilMs; await world.sleep(POLL_MS)) {
    const note = await read("checkpoint");
    const checkpoint = note === undefined ? undefined : openCheckpoint(note, trust);
    if (checkpoint?.ok && checkpoint.value.size > opened.value.seq) break;
    output.progress(`entry ${opened.value.seq} is not published yet`);
  }
  return ok(undefined);
}

function showAttribution(
  { receipt, evidence, records, engine, hasWeights }: VerifiedAttribution,
  output: Output,
): void {
  const stated = engine.reduce((sum, { pieces }) => sum + pieces, 0);
  output.line(
    `✓ receipt ${receipt}: texts, index and methods are its own, and its ${counted(evidence, "piece")} of evidence`,
  );
  output.line(
    stated === 0
      ? `  over ${counted(records, "record")} come out again, bit for bit`
      : `  over ${counted(records, "record")} come out again from what matches, and from ${stated} that only the model can find`,
  );
  for (const { kind, pieces, distance, why } of engine)
    output.line(
      distance === undefined
        ? `– ${kind}: ${pieces} taken as stated, not checked: ${why}`
        : `✓ ${kind}: the model, asked again, gives the same ${pieces} within ${(100 * distance).toFixed(2)} %`,
    );
  if (hasWeights === true) output.line("✓ its contributors' weights follow from them");
}

/** Which published combination no policy may choose. One with methods that this program has not is for a later program to judge. */
function methodsFault({ methods }: Verdict): string | undefined {
  for (const { seq, text } of methods) {
    const combination = parseCombination(Buffer.from(text).toString("latin1"));
    const fault = combination.ok ? boundsFault(combination.value) : undefined;
    if (fault !== undefined) return `entry ${seq}: a combination of methods is out of bounds: ${fault}`;
  }
  return undefined;
}

/** Without `where`: the journal in the data folder, else the node's. */
async function defaultPlace(shell: Shell): Promise<Result<string>> {
  const isThere = await stat(join(shell.data, "journal", "checkpoint")).then(
    () => true,
    () => false,
  );
  if (isThere) return ok(join(shell.data, "journal"));
  const client = await shell.client();
  return client.ok ? ok(client.value.url) : client;
}

type AskChain = Required<Pick<VerifyInput, "chainEpoch" | "registry">>;

/** The chain as a reader: it must be the chain that the keys name, and know the ledger under the key that signs the journal. */
async function askChain(rpcUrl: string, { trust }: Trust): Promise<Result<AskChain>> {
  const [{ Sender }, { openEvmChain }, { settlementAbi }, { privateKeyToAccount }] = await Promise.all([
    import("../../chain/sender.ts"),
    import("../../chain/evmChain.ts"),
    import("../../chain/abi.ts"),
    import("viem/accounts"),
  ]);
  const sender = new Sender({ url: rpcUrl, mines: false });
  const chainId = await sender.read((client) => client.getChainId());
  if (!chainId.ok) return chainId;
  const { chainId: expected, verifyingContract } = trust.domain;
  if (chainId.value !== expected)
    return refuse("verification_failed", `${rpcUrl} is chain ${chainId.value}, the ledger is on chain ${expected}`);
  const address = toHex(verifyingContract);
  const ledger = await sender.read((client) =>
    client.readContract({ address, abi: settlementAbi, functionName: "ledgerOf", args: [toHex(trust.ledger)] }),
  );
  if (!ledger.ok) return ledger;
  const { signer } = ledger.value.roles;
  if (!equalBytes(fromHex(signer), trust.signer))
    return refuse(
      "verification_failed",
      `the contract says that ${signer} signs this ledger, not ${toHex(trust.signer)}`,
    );
  // It only reads; an account is what the adapter asks for, and this one holds nothing.
  const account = privateKeyToAccount(`0x${"00".repeat(31)}01`);
  const none = new Uint8Array(20);
  const contracts = { token: none, registry: none, policy: none, escrow: none, settlement: verifyingContract };
  const periods = { epochSeconds: 0, windowSeconds: 0, thawSeconds: 0, noticeSeconds: 0, expirySeconds: 0 };
  const setup = { ...periods, salt: new Uint8Array(32), bondNano: 0n, signer: trust.signer };
  const chain = openEvmChain({ sender, chainId: chainId.value, contracts, account, setup });
  return ok({
    chainEpoch: (epoch) => chain.epoch(trust.ledger, epoch),
    registry: async () => {
      const read = await sender.read((client) =>
        client.readContract({ address, abi: settlementAbi, functionName: "REGISTRY" }),
      );
      return read.ok ? ok(fromHex(read.value)) : read;
    },
  });
}

function showVerdict(verdict: Verdict, where: string, { from }: Trust, rpc: string | undefined, output: Output): void {
  const { size, root, kinds, payees, epochs, credits, debits, moved, methods } = verdict;
  output.line(`${where}`);
  output.line(`✓ checkpoint of ${size} entries, signed by both keys (${from})`);
  output.line(`✓ tree and every tile: root ${toHex(root)}`);
  output.line(`✓ ${kinds.batch ?? 0} ${kinds.batch === 1 ? "batch" : "batches"}: every root and signature`);
  output.line(`✓ ${counted(kinds.receipt ?? 0, "receipt")}: every fee, weight and split`);
  if (methods.length > 0)
    output.line(
      `✓ ${counted(methods.length, "combination")} of methods, each published before a receipt names it, within bounds`,
    );
  output.line(
    `✓ ${counted(kinds.poolSplit ?? 0, "pool split")} over ${counted(kinds.poolChunk ?? 0, "published chunk")}`,
  );
  output.line(`✓ ${counted(epochs.length, "epoch")}: postings, payouts and debits of ${counted(payees, "payee")}`);
  if (moved !== undefined) {
    const { place, seq, credited, owed } = moved;
    output.line(`✓ on credit until entry ${seq}, then on chain ${place.chainId}: ${formatOpen(owed)} OPEN were owed,`);
    output.line(`  of ${formatOpen(credited)} credited; the rest was paid outside, and the chain never pays it`);
  }
  const asked = epochs.filter(({ chain }) => chain !== "on credit");
  const onChain = asked.filter(({ chain }) => chain !== "absent" && chain !== "not asked").length;
  const absent = asked.filter(({ chain }) => chain === "absent").map(({ record }) => record.epoch);
  if (rpc === undefined) output.line("– the chain was not asked");
  else output.line(`✓ ${onChain} of ${counted(asked.length, "epoch")} on chain, with these roots and sums`);
  if (absent.length > 0) output.line(`– not on chain, or not yet: epoch ${absent.join(", ")}`);
  output.line(`  credits ${formatOpen(credits)} OPEN, debits ${formatOpen(debits)} OPEN`);
}

function viewOf({ size, root, kinds, payees, epochs, credits, debits, moved }: Verdict): object {
  return {
    ...(moved === undefined
      ? {}
      : { moved: { at: moved.seq, chainId: moved.place.chainId, credited: moved.credited, owed: moved.owed } }),
    ...{ size, root: toHex(root), kinds, payees, credits, debits },
    epochs: epochs.map(({ record, chain }) => ({ epoch: record.epoch, first: record.first, end: record.end, chain })),
  };
}
