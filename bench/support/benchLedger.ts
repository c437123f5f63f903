import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { padAddress } from "../../src/core/bytes.ts";
import { addressOf } from "../../src/core/eip712.ts";
import { defaultPolicyBps } from "../../src/core/policy.ts";
import { pooledRandom } from "../../src/core/pooledRandom.ts";
import { unwrap } from "../../src/core/result.ts";
import { openSigner } from "../../src/core/signer.ts";
import type { ServedModel } from "../../src/gateway/catalog.ts";
import type { Grounding, World } from "../../src/gateway/ports.ts";
import { loadSecp256k1 } from "../../src/host/secp256k1.ts";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { openLedger } from "../../src/ledger/openLedger.ts";
import { startEmbeddedPostgres } from "../../src/store/embedded.ts";
import { openLedgerStore } from "../../src/store/ledgerStore.ts";

const random = pooledRandom((size) => new Uint8Array(randomBytes(size)));

export const benchWorld: World = {
  nowMs: () => Date.now(),
  elapsedMs: () => performance.now(),
  randomBytes: random,
  log: () => {},
};

/** A fresh ledger on a PostgreSQL of its own in a temporary folder; `stop` removes both. */
export async function openBenchLedger(): Promise<{
  readonly ledger: Ledger;
  readonly storePid: number | undefined;
  readonly url: string;
  stop(): Promise<void>;
}> {
  const data = await mkdtemp(join(tmpdir(), "openledger-bench-"));
  const postgres = unwrap(await startEmbeddedPostgres({ data, randomBytes: random, onEvent: () => {} }));
  const store = unwrap(await openLedgerStore({ url: postgres.url }));
  const signer = random(32);
  const ledger = unwrap(
    await openLedger({
      ...{ id: random(32), store, secret: random(32), node: padAddress(addressOf(signer)), requireDeposit: false },
      world: { nowMs: benchWorld.nowMs, randomBytes: random, warn: () => {} },
      signer: openSigner(signer, await loadSecp256k1()),
      domain: { chainId: 31_337, verifyingContract: random(20) },
      policy: {
        ...defaultPolicyBps,
        ...{ treasuryPayee: random(32), reservePayee: random(32), datanetReservePayee: random(32) },
      },
    }),
  );
  const stop = async () => {
    await ledger.close();
    await store.close();
    await postgres.stop();
    await rm(data, { recursive: true, force: true });
  };
  return { ledger, storePid: postgres.pid(), url: postgres.url, stop };
}

/** A registered model called `bench`, grounded where a grounding is given. */
export async function benchModel(ledger: Ledger, grounding?: Grounding): Promise<ServedModel> {
  const royalty = { inPerMillion: 1_000_000, outPerMillion: 2_000_000, perCall: 50 };
  const terms = { unit: "nano", royalty, parentsBps: 0, licence: "Apache-2.0" } as const;
  const input = {
    id: random(32),
    kind: "model",
    owner: random(32),
    contentRoot: random(32),
    terms,
    parents: [],
  } as const;
  const asset = unwrap(await ledger.assets.register(input));
  return {
    ...{ name: "bench", asset: asset.id, ownedBy: "bench", createdMs: 0, contextTokens: 16_384, unit: "nano", royalty },
    ...(grounding === undefined ? {} : { grounding }),
  };
}

/** The secret of a key of a new account that will not run dry. */
export async function benchKey(ledger: Ledger, name = "bench"): Promise<string> {
  const account = unwrap(await ledger.accounts.open({ name }));
  unwrap(
    await ledger.accounts.credit({ account: account.id, amount: 9e15, key: `credit ${account.id}`, note: "bench" }),
  );
  return unwrap(await ledger.accounts.createKey({ account: account.id, name })).secret;
}
