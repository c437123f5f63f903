import fc from "fast-check";
import { Histogram, Registry } from "prom-client";
import { expect, test } from "vitest";
import { ModelSeries, seriesText } from "./modelSeries.ts";

const NAME = "gen_ai_server_request_duration_seconds";

test("durations are written as the Prometheus client library writes them", async () => {
  const model = fc.string({ minLength: 1, unit: fc.constantFrom("a", "/", '"', "\\", "\n", "é") });
  const seconds = fc.array(fc.oneof(fc.constantFrom(0, 0.005, 81.92), fc.double({ min: 0, max: 100, noNaN: true })));
  await fc.assert(
    fc.asyncProperty(model, seconds, async (name, all) => {
      const series = new ModelSeries();
      const registers = [new Registry()];
      const config = { name: NAME, help: "from request to last byte", labelNames: ["gen_ai_request_model"], registers };
      const library = new Histogram({ ...config, buckets: [...series.request.bounds] });
      library.zero({ gen_ai_request_model: name });
      for (const each of all) {
        series.request.observe(each);
        library.observe({ gen_ai_request_model: name }, each);
      }
      const ours = seriesText(new Map([[name, series]])).split("\n");
      const theirs = await registers[0]!.metrics();
      expect(ours.filter((line) => line.includes(NAME)).join("\n")).toBe(theirs.trim());
    }),
  );
});

test("counters of each model stand under one heading", () => {
  const [one, two] = [new ModelSeries(), new ModelSeries()];
  Object.assign(one, { tokensIn: 3, tokensOut: 4, whole: 2 });
  two.partial = 1;
  const lines = seriesText(new Map(Object.entries({ one, two }))).split("\n");
  expect(lines.filter((line) => line.startsWith("# TYPE gen_ai_client_token_usage_total"))).toHaveLength(1);
  expect(lines).toContain(`gen_ai_client_token_usage_total{gen_ai_request_model="one",gen_ai_token_type="input"} 3`);
  expect(lines).toContain(`gen_ai_client_token_usage_total{gen_ai_request_model="one",gen_ai_token_type="output"} 4`);
  expect(lines).toContain(`openledger_executions_total{gen_ai_request_model="one",outcome="whole"} 2`);
  expect(lines).toContain(`openledger_executions_total{gen_ai_request_model="two",outcome="partial"} 1`);
});
