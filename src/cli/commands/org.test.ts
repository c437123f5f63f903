import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { type CustomerNode, startCustomerNode } from "../../gateway/testing/customers.ts";
import { hello } from "../../gateway/testing/scriptedEngine.ts";
import { smallLedger } from "../../ledger/testing/smallLedger.ts";
import { runLine } from "../testing/commandLine.ts";

let node: CustomerNode;

beforeAll(async () => {
  const { ledger, world } = await smallLedger();
  node = await startCustomerNode(ledger, hello, () => world.nowMs());
});
afterAll(() => node.gateway.drain(50));

async function run(key: string, ...args: string[]): Promise<unknown> {
  const { code, out, err } = await runLine([...args, "--url", node.url, "--key", key, "--json"]);
  expect([args, out, err, code].join(" ")).toMatch(/ 0$/);
  return JSON.parse(out);
}

async function said(key: string, ...args: string[]): Promise<string> {
  const { code, out } = await runLine([...args, "--url", node.url, "--key", key]);
  expect({ args, code }).toMatchObject({ code: 0 });
  return out;
}

const fresh = z.object({ secret: z.string(), key: z.object({ id: z.string() }) });
const made = fresh.extend({ organisation: z.object({ id: z.string(), account: z.string() }) });

test("a customer from the first command to the last: opened, joined, limited, spent, audited", async () => {
  const { secret: admin } = node.admin;
  const acme = made.parse(await run(admin, "org", "create", "acme", "--owner", "Ann"));
  await run(admin, "account", "credit", acme.organisation.account, "1");
  const { secret: ann } = acme;
  const invited = z.object({ token: z.string(), member: z.object({ id: z.string() }) });
  const { token, member } = invited.parse(await run(ann, "org", "invite", "Ben", "builder"));
  const ben = made.parse(await run("ol_none", "org", "join", token));
  const project = z.object({ id: z.string() }).parse(await run(ben.secret, "org", "project", "search"));
  const prod = fresh.parse(await run(ben.secret, "org", "key", "prod", "--project", project.id));
  await run(ben.secret, "org", "key", "laptop");
  expect((await node.ask(prod.secret)).status).toBe(200);
  for (const id of ["me", acme.organisation.id, member.id, project.id, prod.key.id]) {
    const limited = await run(ann, "org", "limit", id, "--open-per-day", "0.000001", "--in-flight", "3");
    expect(limited).toMatchObject({ limits: { nanoPerDay: 1_000, inFlight: 3 } });
  }
  expect((await node.ask(prod.secret)).status).toBe(429);
  expect(await said(ann, "org", "usage")).toMatch(
    /organisation acme +0\.000001 +0 +at most 0\.000001 OPEN\/day, 3 in flight/,
  );
  const rotated = fresh.parse(await run(ann, "org", "rotate", prod.key.id));
  expect([(await node.ask(prod.secret)).status, (await node.ask(rotated.secret)).status]).toEqual([401, 429]);
  await run(ann, "org", "limit", "me");
  await run(ann, "org", "revoke", prod.key.id);
  await run(ann, "org", "role", member.id, "billing");
  await run(ann, "org", "transfer", member.id);
  await run(ben.secret, "org", "remove", project.id);
  await run(ben.secret, "org", "rename", "Acme Inc.");
  expect(await said(ben.secret, "org", "show")).toMatch(
    /Acme Inc\.[\s\S]*Ann +builder[\s\S]*Ben +owner[\s\S]*search +archived/,
  );
  expect(await said(ben.secret, "org", "list")).toContain("Acme Inc.");
  expect(await said(ben.secret, "org", "keys")).toContain(rotated.key.id);
  const days = ["--from", "2020-01-01", "--until", "2100-01-01"];
  expect(await run(ben.secret, "org", "spending", ...days)).toMatchObject({
    data: [{ key: prod.key.id, project: project.id, nano: 1_000, receipts: 1 }],
  });
  const log = await said(ben.secret, "org", "audit");
  expect(log).toMatch(/\d\d rows, each following from the one before; the last is 0x[0-9a-f]{64}/);
  expect(log).toMatch(/member\.change +mem_\S+ +\{"role":"builder"\} → \{"role":"billing"\}/);
  expect(await said(admin, "org", "audit", "--node")).toContain("POST /api/accounts/{id}/credit");
});
