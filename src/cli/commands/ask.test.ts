import { afterEach, expect, test } from "vitest";
import { startNode, type TestNode, testGrounding } from "../../gateway/testing/node.ts";
import { hello, ScriptedEngine } from "../../gateway/testing/scriptedEngine.ts";
import { runLine } from "../testing/commandLine.ts";

let node: TestNode;
afterEach(() => node.stop());

const line = (...args: string[]) => runLine([...args, "--url", node.url, "--key", node.secret]);

test("an answer of a model without a datanet is attributed to nobody, and says so", async () => {
  node = await startNode({ engines: { scripted: new ScriptedEngine(hello) } });
  const { code, out } = await line("ask", "npm-docs", "Hello?");
  expect(code).toBe(0);
  expect(out).toContain("no datanet stands behind it: the contributors' part is reserved for datanets");
  for (const text of ["attributed by evidence", "100.0 %", "nobody: no evidence"]) expect(out).not.toContain(text);
  expect((await line("receipt", "list")).out).not.toContain("100.0 %");
});

test("an answer of one with a datanet says how much of it is", async () => {
  node = await startNode({ engines: { scripted: new ScriptedEngine(hello) }, model: { grounding: testGrounding() } });
  expect((await line("ask", "npm-docs", "Hello?")).out).toContain("75.0 % of the contributors' part is attributed");
  expect((await line("model", "show", "npm-docs")).out).toContain(
    "reads up to 100 tokens of records beside a question",
  );
  node.gateway.catalog.put({
    ...{
      name: "small",
      asset: new Uint8Array(32).fill(9),
      ownedBy: "x",
      createdMs: 0,
      contextTokens: 256,
      unit: "nano",
    },
    royalty: { inPerMillion: 0, outPerMillion: 0, perCall: 0 },
    grounding: testGrounding({ contextTokensMax: 0 }),
  });
  expect((await line("model", "show", "small")).out).toContain("reads no records: a context of 256 tokens");
});
