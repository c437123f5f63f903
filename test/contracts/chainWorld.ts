import { deployContracts } from "../../src/chain/deploy.ts";
import { openEvmChain } from "../../src/chain/evmChain.ts";
import { fromHex, padAddress } from "../../src/core/bytes.ts";
import { addressOf, signDigest } from "../../src/core/eip712.ts";
import { defaultPolicyBps } from "../../src/core/policy.ts";
import { noPrices } from "../../src/core/quote.ts";
import { unwrap } from "../../src/core/result.ts";
import { EVIDENCE_TOTAL } from "../../src/core/route.ts";
import type { Chain } from "../../src/ledger/chain.ts";
import { type OpenLedger, openLedger } from "../../src/ledger/openLedger.ts";
import { Publisher } from "../../src/ledger/publish.ts";
import { memoryStore } from "../../src/ledger/testing/memoryStore.ts";
import { draft, id32, MemorySink, SmallWorld } from "../../src/ledger/testing/smallLedger.ts";
import { Settlement } from "../../src/node/settlement.ts";
import { type Bench, openBench } from "./harness.ts";

const SIGNER = id32(2);
const periods = { epochSeconds: 60, windowSeconds: 60, thawSeconds: 200, noticeSeconds: 60, expirySeconds: 600 };
const BOND_NANO = 1_000n;
const ROYALTY = 200_000_000;
/** What no evidence explains is divided over whom evidence named before, from the second epoch on. */
const UNATTRIBUTED = EVIDENCE_TOTAL / 5;

/** A ledger whose record system is a real chain: its epochs are proposed and become final there, its payees claim there. */
export interface ChainWorld extends Bench {
  readonly ledger: OpenLedger;
  readonly chainOf: Chain;
  /** From now on fees that this contract takes are seen. */
  useRelay(contract: Uint8Array): void;
  readonly settlement: Settlement;
  /** Serves one answer for every payee, who is its operator, so that each earns so much; the receipts' ids. */
  earn(payees: readonly Uint8Array[], nano: number): Promise<readonly Uint8Array[]>;
  /** Closes the open epoch and waits, in the chain's time, until it is final. */
  settle(): Promise<number>;
}

export async function openChainWorld(): Promise<ChainWorld> {
  const bench = await openBench();
  const { sender, chain: anvil } = bench;
  const account = bench.account(0);
  const node = padAddress(fromHex(account.address));
  const policy = { ...defaultPolicyBps, treasuryPayee: node, reservePayee: id32(12), datanetReservePayee: id32(13) };
  const floors = { windowSeconds: 60, noticeSeconds: 60, expirySeconds: 600, bondNano: BOND_NANO };
  const contracts = unwrap(await deployContracts(sender, account, policy, floors));
  const setup = { ...periods, salt: new Uint8Array(32), bondNano: BOND_NANO, signer: addressOf(SIGNER) };
  const chainId = await sender.client.getChainId();
  const chain = openEvmChain({ sender, chainId, contracts, account, setup });
  let current = chain;
  const domain = { chainId, verifyingContract: contracts.settlement };
  const ledger = unwrap(
    await openLedger({
      ...{
        id: unwrap(await chain.openLedger()),
        store: memoryStore(),
        world: new SmallWorld(),
        domain,
        secret: id32(5),
      },
      ...{ signer: { sign: (digest) => signDigest(SIGNER, digest) }, node, policy, requireDeposit: true },
    }),
  );
  const publisher = new Publisher({
    ...{ ledger: ledger.id, sink: new MemorySink(), keys: { domain, ed25519: id32(1), secp256k1: SIGNER } },
    entries: (from, until) => ledger.books.entries(from, until),
  });
  const settlement = new Settlement({
    ...{ ledger, chain, publisher, domain, signer: SIGNER, say: () => undefined },
    // The window is over once the chain's clock was moved.
    ...{ sleep: async () => undefined, nowMs: () => Number.MAX_SAFE_INTEGER },
  });
  unwrap(await chain.deposit(ledger.id, 10n ** 15n));
  unwrap(await settlement.watchDeposits());
  const model = await makeModel(chain, ledger, node);
  const payer = unwrap(await ledger.accounts.open({ name: "payer" }));
  unwrap(await ledger.accounts.credit({ account: payer.id, amount: 10 ** 14, key: "first", note: "" }));
  return {
    ...{ ...bench, ledger, settlement },
    get chainOf() {
      return current;
    },
    useRelay: (relay) => {
      current = openEvmChain({ sender, chainId, contracts, account, setup, relay });
    },
    earn: async (payees, nano) => {
      const receipts: Uint8Array[] = [];
      for (const payee of payees) {
        const hold = unwrap(ledger.holds.place({ account: payer.id, amount: nano + ROYALTY }));
        const order = draft(hold.id, nano, ROYALTY, { operator: payee, model });
        const shares = [{ payee: id32(70), type: "identity" as const, weight: EVIDENCE_TOTAL - UNATTRIBUTED }];
        const posted = unwrap(
          await ledger.books.post({ ...order, contributors: { shares, unattributed: UNATTRIBUTED } }),
        );
        receipts.push(posted.receipt.id);
      }
      return receipts;
    },
    settle: async () => {
      const { record } = unwrap(await settlement.close());
      await bench.pass(periods.windowSeconds + 1);
      unwrap(await settlement.finalise(record.epoch));
      return record.epoch;
    },
    chain: anvil,
  };
}

async function makeModel(chain: Chain, ledger: OpenLedger, owner: Uint8Array): Promise<Uint8Array> {
  const terms = { unit: "nano", royalty: noPrices, parentsBps: 0, licence: "CC-BY-4.0" } as const;
  let parents: { id: Uint8Array; weight: number }[] = [];
  for (const kind of ["datanet", "model"] as const) {
    const asset = { kind, contentRoot: id32(40), parents, terms, uri: "", salt: id32(41) };
    const id = unwrap(await chain.registerAsset(asset));
    unwrap(await ledger.assets.register({ id, kind, owner, contentRoot: id32(40), parents, terms }));
    parents = [{ id, weight: 1 }];
  }
  return parents[0]!.id;
}
