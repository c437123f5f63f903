import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { choosePort, freePort, isTaken } from "./ports.ts";

test("a free port can be had, wished for or not; a taken one is refused by name", async () => {
  const port = await freePort();
  expect(unwrap(await choosePort(port, "a test"))).toBe(port);
  expect(await isTaken(port, "127.0.0.1")).toBe(false);
  expect(unwrap(await choosePort(undefined, "a test"))).toBeGreaterThan(0);
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(port, "127.0.0.1", resolve);
  });
  onTestFinished(() => void server.close());
  expect([await isTaken(port, "127.0.0.1"), await isTaken(0, "127.0.0.1")]).toEqual([true, false]);
  const refused = await choosePort(port, "a test");
  expect(refused).toMatchObject({ ok: false, error: { code: "port_in_use" } });
  expect(refused.ok ? "" : refused.error.message).toContain(String(port));
});
