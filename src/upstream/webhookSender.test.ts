import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isInside } from "./outside.ts";
import { WebhookSender } from "./webhookSender.ts";

let server: Server;
let url: string;
let seen = 0;
const outside = new WebhookSender({ allowsInside: false, timeoutMs: 500 });
const beside = new WebhookSender({ allowsInside: true, timeoutMs: 500 });

beforeAll(async () => {
  server = createServer((request, response) => {
    seen += 1;
    if (request.url === "/moved") response.writeHead(302, { location: "/" }).end();
    else if (request.url === "/slow") setTimeout(() => response.end(), 5_000).unref();
    else response.writeHead(request.url === "/broken" ? 500 : 204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${portOf(server)}`;
});
afterAll(async () => {
  await outside.close();
  await beside.close();
  server.closeAllConnections();
  server.close();
});

test.each([
  ["127.0.0.1", true],
  ["10.1.2.3", true],
  ["172.31.0.1", true],
  ["172.32.0.1", false],
  ["169.254.169.254", true],
  ["100.64.0.1", true],
  ["::1", true],
  ["::ffff:127.0.0.1", true],
  ["fd00::1", true],
  ["fe80::1", true],
  ["93.184.216.34", false],
  ["2606:4700::1111", false],
  ["not an address", true],
])("%s is inside: %s", (address, is) => expect(isInside(address)).toBe(is));

test.each([
  "http://example.org/",
  "https://127.0.0.1/",
  "https://[::1]/",
  "https://2130706433/",
  "https://0x7f.1/",
  "https://user:secret@example.org/",
  "ftp://example.org/",
  "nonsense",
])("%s is never called", (text) => expect(outside.check(text).ok).toBe(false));

test("a name that leads inside is not called either", async () => {
  const before = seen;
  const sent = await outside.send({
    url: url.replace("http", "https").replace("127.0.0.1", "localhost"),
    headers: {},
    body: "{}",
  });
  expect(sent.ok ? "" : sent.error.message).toMatch(/own network/);
  expect(seen).toBe(before);
});

test.each([
  ["/", true],
  ["/broken", false],
  ["/moved", false],
  ["/slow", false],
])("an answer of %s counts as taken: %s", async (path, isTaken) => {
  expect(
    (await beside.send({ url: `${url}${path}`, headers: { "content-type": "application/json" }, body: "{}" })).ok,
  ).toBe(isTaken);
});

function portOf(listening: Server): number {
  const address = listening.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on a port");
  return address.port;
}
