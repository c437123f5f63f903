import { randomBytes } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Anvil, startAnvil } from "../../src/chain/anvil.ts";
import { unwrap } from "../../src/core/result.ts";

/** A real, empty chain of the caller's own. Stopping it also removes its files. */
export async function testChain(): Promise<Anvil> {
  const data = mkdtempSync(join(tmpdir(), "openledger-chain-"));
  const chain = unwrap(await startAnvil({ data, randomBytes, onEvent: () => undefined }));
  const stop = async (): Promise<void> => {
    await chain.stop();
    await rm(data, { recursive: true, force: true });
  };
  return { ...chain, stop };
}
