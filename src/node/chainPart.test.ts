import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../../test/support/folders.ts";
import { unwrap } from "../core/result.ts";
import { until } from "../host/processes.ts";
import type { ChildEvent } from "../host/supervisor.ts";
import { openChainPart } from "./chainPart.ts";
import { Children } from "./children.ts";
import { termsOf } from "./provenance.ts";
import { keepSecrets } from "./secrets.ts";

test("what was sent to the development chain is there however it ends; what it does not know is said", async () => {
  const data = await temporaryFolder();
  const events: ChildEvent[] = [];
  const children = new Children({ on: () => {}, off: () => {}, exit: () => {}, kill: () => {} }, () => {});
  onTestFinished(() => children.stopAll());
  const secrets = await keepSecrets(data, randomBytes);
  const onEvent = (event: ChildEvent) => void events.push(event);
  const { chain } = unwrap(await openChainPart({ data, secrets, children, randomBytes, onEvent, say: () => {} }));
  const id = unwrap(
    await chain.registerAsset({
      ...{ kind: "model", contentRoot: new Uint8Array(32).fill(1), parents: [], terms: termsOf("MIT", 0) },
      ...{ uri: "openledger:model/x", salt: new Uint8Array(32) },
    }),
  );

  const { pid } = z.object({ pid: z.number() }).parse(JSON.parse(readFileSync(join(data, "anvil/anvil.pid"), "utf8")));
  process.kill(pid, "SIGKILL");
  expect(await until(() => events.some((event) => event.kind === "restarted"), 15_000)).toBe(true);

  expect(unwrap(await chain.ownerOf(id))).toEqual(chain.node);
  const unknown = await chain.ownerOf(new Uint8Array(32).fill(9));
  expect(unknown).toMatchObject({ error: { code: "conflict", message: expect.stringContaining("was set back") } });
});
