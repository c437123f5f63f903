import { randomBytes } from "node:crypto";
import { noPrices } from "../../core/quote.ts";
import { unwrap } from "../../core/result.ts";
import type { OpenLedger } from "../../ledger/openLedger.ts";
import type { Actor, NewOrganisation, Role } from "../../ledger/organisations.ts";
import { assets } from "../../ledger/testing/smallLedger.ts";
import { Gateway, type GatewayParts } from "../gateway.ts";
import type { World } from "../ports.ts";
import { testId, testModel } from "./node.ts";
import { ScriptedEngine, type Step } from "./scriptedEngine.ts";

/** What one call of the test model costs: so much, whatever is said. */
export const CALL_NANO = 1_000;

/** A gateway over a real ledger, with customers in organisations. */
export interface CustomerNode {
  readonly gateway: Gateway;
  readonly ledger: OpenLedger;
  readonly url: string;
  readonly engine: ScriptedEngine;
  readonly admin: Actor & { readonly secret: string };
  call(secret: string | undefined, method: string, path: string, body?: unknown): Promise<Called>;
  ask(secret: string): Promise<Called>;
}

export interface Called {
  readonly status: number;
  readonly body: unknown;
  readonly receipt: string;
}

export async function startCustomerNode(
  ledger: OpenLedger,
  script: readonly Step[],
  nowMs: () => number,
  parts: Partial<GatewayParts> = {},
): Promise<CustomerNode> {
  const world: World = {
    ...{ nowMs, elapsedMs: () => performance.now(), randomBytes: (size) => randomBytes(size), log: () => undefined },
  };
  const options = { admission: { waitingMax: 2_000, waitingPerAccountMax: 2_000 } };
  const gateway = new Gateway({ world, ledger, organisations: ledger.organisations, ...parts }, options);
  const model = { name: testModel, asset: assets.plain, ownedBy: "test", createdMs: 0, contextTokens: 8_192 };
  gateway.catalog.put({ ...model, unit: "nano", royalty: { ...noPrices, perCall: CALL_NANO / 2 } });
  const engine = new ScriptedEngine(script);
  gateway.operators.put({
    ...{ name: "one", payee: testId("operator"), engine, models: { [testModel]: "upstream" }, unit: "nano" },
    ...{ cost: { ...noPrices, perCall: CALL_NANO / 2 }, concurrency: 2_000 },
  });
  await gateway.seedMeters();
  const { url } = unwrap(await gateway.listen(0));
  const account = unwrap(await ledger.accounts.open({ name: "node" }));
  const made = unwrap(await ledger.accounts.createKey({ account: account.id, name: "admin", admin: true }));
  const call: CustomerNode["call"] = async (secret, method, path, body) => {
    const hasBody = method === "POST" || method === "PUT";
    const headers = {
      ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
      ...(hasBody ? { "content-type": "application/json" } : {}),
    };
    const sent = hasBody ? { body: JSON.stringify(body ?? {}) } : {};
    const response = await fetch(url + path, { method, headers, ...sent });
    const text = await response.text();
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    const receipt = response.headers.get("openledger-receipt") ?? "";
    return { status: response.status, body: isJson ? JSON.parse(text) : text, receipt };
  };
  const question = { model: testModel, messages: [{ role: "user", content: "hi" }], max_tokens: 4 };
  return {
    ...{ gateway, ledger, url, engine, call, admin: { key: made.key, request: "test", secret: made.secret } },
    ask: (secret) => call(secret, "POST", "/v1/chat/completions", question),
  };
}

/** An organisation with so much credit, and the secrets of one member in each role and of a project's key. */
export async function customer(
  { ledger, admin }: Pick<CustomerNode, "ledger" | "admin">,
  name: string,
  credit: number,
): Promise<Customer> {
  const book = ledger.organisations;
  const made = unwrap(await book.create(admin, { name, owner: "Ann" }));
  const owner = { key: made.key, request: "test" };
  const { id, account } = made.organisation;
  unwrap(await ledger.accounts.credit({ account, amount: credit, key: "first", note: "" }));
  const secrets: Record<Role | "project", string> = {
    owner: made.secret,
    builder: "",
    billing: "",
    viewer: "",
    project: "",
  };
  for (const role of ["builder", "billing", "viewer"] as const) {
    const { token } = unwrap(await book.invite(owner, id, { name: role, role }));
    secrets[role] = unwrap(await book.accept(token, "test")).secret;
  }
  const project = unwrap(await book.createProject(owner, id, { name: "search" }));
  const key = unwrap(await book.createKey(owner, id, { name: "prod", project: project.id }));
  secrets.project = key.secret;
  return { ...made, owner, secrets, project: project.id, projectKey: key.key.id };
}

export interface Customer extends NewOrganisation {
  readonly owner: Actor;
  readonly secrets: Readonly<Record<Role | "project", string>>;
  readonly project: string;
  readonly projectKey: string;
}
