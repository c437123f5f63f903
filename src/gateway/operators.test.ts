import { expect, test } from "vitest";
import type { Prices, Usage } from "../core/quote.ts";
import type { ServedModel } from "./catalog.ts";
import { type Operator, OperatorTable } from "./operators.ts";
import { testId } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

const rate = { nanoPerUsd: 1, source: "test" };
const worst: Usage = { tokensIn: 1_000, tokensOut: 1_000, calls: 1 };
const nobody = new Set<string>();
const model: ServedModel = {
  ...{ name: "m", asset: testId("m"), ownedBy: "o", createdMs: 0, contextTokens: 10, unit: "nano" },
  royalty: { inPerMillion: 0, outPerMillion: 0, perCall: 0 },
};

function operator(name: string, perCall: number, changes: Partial<Operator> = {}): Operator {
  const cost: Prices = { inPerMillion: 0, outPerMillion: 0, perCall };
  const engine = new ScriptedEngine(hello);
  return { name, payee: testId(name), engine, models: { m: "M" }, unit: "nano", cost, concurrency: 2, ...changes };
}

function table(...operators: Operator[]): OperatorTable {
  const made = new OperatorTable();
  for (const one of operators) made.put(one);
  return made;
}

function choose(from: OperatorTable, excluded: ReadonlySet<string> = nobody, nowMs = 0): string | undefined {
  return from.choose(model, rate, worst, excluded, nowMs)?.operator.name;
}

test("the cheapest with room, then the least loaded, then by name; full ones are passed over", () => {
  const operators = table(operator("dear", 9), operator("b", 5), operator("a", 5));
  expect([1, 2, 3, 4, 5, 6, 7].map(() => choose(operators))).toEqual(["a", "b", "a", "b", "dear", "dear", undefined]);
  operators.finish("b", "served", 0);
  expect(choose(operators)).toBe("b");
});

test("says why", () => {
  const operators = table(operator("dear", 9), operator("a", 5));
  const why = (excluded: ReadonlySet<string>) => operators.choose(model, rate, worst, excluded, 0)?.why;
  expect(why(nobody)).toBe("cheapest of 2 with room, of 2 that quote: at most 5 nano");
  expect(why(new Set(["a"]))).toBe(
    "cheapest of 1 with room, of 2 that quote: at most 9 nano after a failed before the first byte",
  );
});

test("an operator in another unit, or without the model, is no candidate", () => {
  const operators = table(operator("usd", 1, { unit: "microUsd" }), operator("other", 1, { models: { n: "N" } }));
  expect(choose(operators)).toBeUndefined();
  expect(operators.check(model, nobody, 0)).toMatchObject({ ok: false, error: { code: "no_operator" } });
});

test("draining gives nothing new and is taken back", () => {
  const operators = table(operator("a", 5));
  expect(operators.drain("a", true)).toMatchObject({ ok: true, value: { state: "draining" } });
  expect(choose(operators)).toBeUndefined();
  expect(operators.check(model, nobody, 0)).toMatchObject({
    error: { message: expect.stringContaining("a draining") },
  });
  operators.drain("a", false);
  expect(choose(operators)).toBe("a");
  expect(operators.drain("nobody", true)).toMatchObject({ ok: false, error: { code: "not_found" } });
});

test("five failures in a row open the breaker, one probe at a time closes it, and each failed probe doubles the pause", () => {
  const operators = table(operator("a", 5, { concurrency: 10 }));
  const fail = (nowMs: number) => {
    expect(choose(operators, nobody, nowMs)).toBe("a");
    operators.finish("a", "failed", nowMs);
  };
  for (let i = 0; i < 5; i++) fail(0);
  expect(choose(operators, nobody, 999)).toBeUndefined();
  expect(operators.check(model, nobody, 400)).toMatchObject({ error: { retryAfterMs: 600 } });
  expect(choose(operators, nobody, 1_000)).toBe("a");
  expect(choose(operators, nobody, 1_000)).toBeUndefined();
  operators.finish("a", "failed", 1_000);
  expect(choose(operators, nobody, 2_999)).toBeUndefined();
  expect(choose(operators, nobody, 3_000)).toBe("a");
  operators.finish("a", "served", 3_000);
  expect([choose(operators, nobody, 3_000), choose(operators, nobody, 3_000)]).toEqual(["a", "a"]);
});

test("a success in between starts the count again; a caller who leaves is no failure", () => {
  const operators = table(operator("a", 5, { concurrency: 100 }));
  for (const outcome of [
    "failed",
    "failed",
    "failed",
    "failed",
    "served",
    "failed",
    "abandoned",
    "abandoned",
  ] as const) {
    choose(operators);
    operators.finish("a", outcome, 0);
  }
  expect(choose(operators)).toBe("a");
});
