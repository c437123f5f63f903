import { createServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../host/ports.ts";
import { Sender } from "./sender.ts";

test("a chain that cannot be asked is named by its host alone, never by the secret in its address", async () => {
  const server = createServer((_, response) => response.writeHead(401).end("no"));
  onTestFinished(() => void server.close());
  const port = await freePort();
  await new Promise<void>((resolve) => {
    server.listen(port, "127.0.0.1", resolve);
  });
  const other = await freePort();
  const rows = [
    [`http://127.0.0.1:${port}/v3/secret?key=secret`, `127.0.0.1:${port} answers with 401`],
    [`http://127.0.0.1:${other}/v3/secret`, `127.0.0.1:${other} does not answer`],
    ["secret", "the chain's RPC endpoint is not a URL"],
  ] as const;
  for (const [url, message] of rows) {
    const asked = await new Sender({ url, mines: false }).read((client) => client.getChainId());
    expect(asked).toMatchObject({ error: { code: "chain_unavailable", message } });
  }
});
