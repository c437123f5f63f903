import { expect, test } from "vitest";
import { runLine } from "../testing/commandLine.ts";

test.each([
  ["2026-11-29", "2026-10"],
  ["2027-01-01", "2026-12"],
  ["2027-03-31", "2027-02"],
])("on %s the newest month that is over is %s", async (day, month) => {
  const fetch = async () => Response.json({ data: [] });
  const args = ["statement", "list", "--url", "http://127.0.0.1:1", "--key", "ol_none"];
  const { out } = await runLine(args, { fetch, nowMs: () => Date.parse(day) });
  expect(out).toContain(`openledger statement issue ${month}`);
});
