import { randomBytes } from "node:crypto";
import { utf8 } from "../../core/bytes.ts";
import type { Engine } from "../../core/engine.ts";
import { sha256 } from "../../core/hash.ts";
import { defaultPolicyBps } from "../../core/policy.ts";
import { unwrap } from "../../core/result.ts";
import { openSigner } from "../../core/signer.ts";
import type { KeyLimits } from "../../ledger/ledger.ts";
import { type OpenLedger, openLedger } from "../../ledger/openLedger.ts";
import type { LedgerStore } from "../../ledger/ports.ts";
import { memoryStore } from "../../ledger/testing/memoryStore.ts";
import type { ServedModel } from "../catalog.ts";
import { Gateway, type GatewayOptions, type GatewayParts } from "../gateway.ts";
import type { Operator } from "../operators.ts";
import type { Grounding, World } from "../ports.ts";
import { AnswerWatch } from "./documented.ts";

/** A node for tests: a gateway over the real ledger, which is kept in memory, with one funded account, one ordinary key and one admin key. */
export interface TestNode {
  readonly gateway: Gateway;
  readonly ledger: OpenLedger;
  readonly url: string;
  readonly account: string;
  readonly secret: string;
  readonly adminSecret: string;
  readonly log: { level: string; message: string; fields: Record<string, unknown> }[];
  /** Another key of the same account, or of a new account with funds. */
  key(options?: { limits?: KeyLimits; funds?: number }): Promise<string>;
  /** From now on nothing can be made durable. */
  breakStore(): void;
  /** Throws where something was answered that the OpenAPI document does not say of its path. */
  stop(): Promise<void>;
}

export interface TestNodeOptions {
  readonly engines: Readonly<Record<string, Engine>>;
  readonly options?: GatewayOptions;
  readonly parts?: Partial<GatewayParts>;
  readonly model?: Partial<ServedModel>;
  readonly operators?: Readonly<Record<string, Partial<Operator>>>;
  readonly funds?: number;
}

export const testModel = "npm-docs";

export function testId(name: string): Uint8Array {
  return sha256(utf8(name));
}

export async function startNode(setup: TestNodeOptions): Promise<TestNode> {
  const log: TestNode["log"] = [];
  const world: World = {
    nowMs: () => Date.now(),
    elapsedMs: () => performance.now(),
    randomBytes: (size) => randomBytes(size),
    log: (level, message, fields = {}) => void log.push({ level, message, fields: { ...fields } }),
  };
  const store = memoryStore();
  const model = { ...modelDefaults, ...setup.model };
  const ledger = await openTestLedger(store, world, model.asset);
  const open = async (name: string, funds: number) => {
    const account = unwrap(await ledger.accounts.open({ name }));
    if (funds > 0)
      unwrap(await ledger.accounts.credit({ account: account.id, amount: funds, key: name, note: "test" }));
    return account.id;
  };
  const account = await open("tester", setup.funds ?? 1_000_000_000);
  const { secret } = unwrap(await ledger.accounts.createKey({ account, name: "test" }));
  const admin = unwrap(await ledger.accounts.createKey({ account, name: "admin", admin: true }));
  // Answers wait for their receipts however slow the machine is, where a test says nothing else.
  const timeouts = { receiptMs: 60_000, ...setup.options?.timeouts };
  const gateway = new Gateway({ world, ledger, ...setup.parts }, { ...setup.options, timeouts });
  gateway.catalog.put(model);
  for (const [name, engine] of Object.entries(setup.engines)) {
    gateway.operators.put({ ...operatorDefaults, name, payee: testId(name), engine, ...setup.operators?.[name] });
  }
  const { url, port } = unwrap(await gateway.listen(0));
  // Behind a test world's keys another gateway answers, which has a document of its own.
  const answers = setup.parts?.testWorld === undefined ? new AnswerWatch(port) : undefined;
  let keys = 0;
  return {
    ...{ gateway, ledger, url, account, secret, adminSecret: admin.secret, log },
    key: async ({ limits, funds } = {}) => {
      keys += 1;
      const owner = funds === undefined ? account : await open(`other ${keys}`, funds);
      return unwrap(await ledger.accounts.createKey({ account: owner, name: `key ${keys}`, ...(limits && { limits }) }))
        .secret;
    },
    breakStore: () => {
      store.append = () => Promise.reject(new Error("the store is away"));
    },
    stop: async () => {
      // A node that is already going down says nothing more.
      const document = await fetch(`${url}/api/openapi.json`).catch(() => undefined);
      await gateway.drain(50);
      await ledger.close();
      if (answers === undefined || document?.ok !== true) return;
      const undocumented = answers.undocumented(await document.json());
      if (undocumented.length > 0)
        throw new Error(`the OpenAPI document does not say this: ${undocumented.join(", ")}`);
    },
  };
}

async function openTestLedger(store: LedgerStore, world: World, model: Uint8Array): Promise<OpenLedger> {
  const signer = openSigner(testId("signer"));
  const policy = {
    ...defaultPolicyBps,
    ...{ treasuryPayee: testId("treasury"), reservePayee: testId("reserve") },
    datanetReservePayee: testId("datanet reserve"),
  };
  const ledger = unwrap(
    await openLedger({
      ...{ id: testId("memory ledger"), store, signer, policy, secret: testId("secret"), node: testId("node") },
      world: { ...world, warn: (message) => world.log("warn", message) },
      domain: { chainId: 31_337, verifyingContract: new Uint8Array(20) },
      requireDeposit: false,
    }),
  );
  const royalty = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
  const terms = { unit: "nano", royalty, parentsBps: 0, licence: "Apache-2.0" } as const;
  const owned = { owner: testId("owner"), contentRoot: testId("content"), terms, parents: [] };
  unwrap(await ledger.assets.register({ id: model, kind: "model", ...owned }));
  return ledger;
}

/** A grounding that retrieves one passage and credits its author with three quarters. */
export function testGrounding(changes: Partial<Grounding> = {}): Grounding {
  return {
    datanets: ["npm-docs"],
    indexId: testId("index"),
    methodsHash: testId("methods"),
    contextTokensMax: 100,
    retrieve: async (question) => [
      {
        record: "r1",
        number: 0,
        headings: [],
        score: 1,
        title: "A record",
        text: `about ${question}`,
        source: "npm:a@1.0.0 README.md",
      },
    ],
    attribute: async () => ({
      shares: [{ payee: testId("author"), type: "identity", weight: 750_000 }],
      unattributed: 250_000,
      evidenceRoot: testId("evidence"),
      evidence: [
        { kind: "span", payee: `0x${"11".repeat(32)}`, weight: 750_000, record: "r1", output: [0, 5], text: "Hello" },
      ],
    }),
    ...changes,
  };
}

const modelDefaults: ServedModel = {
  ...{
    name: testModel,
    asset: testId("model"),
    ownedBy: "npm-docs",
    createdMs: 1_700_000_000_000,
    contextTokens: 8_192,
  },
  ...{ unit: "nano", royalty: { inPerMillion: 2_000_000, outPerMillion: 4_000_000, perCall: 100 } },
};

const operatorDefaults = {
  models: { [testModel]: "upstream-name" },
  unit: "nano",
  cost: { inPerMillion: 1_000_000, outPerMillion: 2_000_000, perCall: 50 },
  concurrency: 4,
} as const;
