import { utimes, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { ok, refuse, unwrap } from "../core/result.ts";
import { RateFetcher } from "../upstream/rateFetcher.ts";
import { openRates } from "./ratePart.ts";
import { rateSourceOf } from "./rateSource.ts";

/** A real server that answers as it is told. */
async function server(answer: RequestListener): Promise<string> {
  const http = createServer(answer);
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

async function read(url: string, pointer = "/price") {
  const fetcher = new RateFetcher({ allowsInside: true, timeoutMs: 400 });
  onTestFinished(() => fetcher.close());
  return unwrap(rateSourceOf(`${url}/rate#${pointer}`, undefined, fetcher)).read();
}

const plain = JSON.stringify({ price: "0.5", data: [{ "usd/open": 2 }], at: 1_700_000_000 });

test("a price somewhere in the JSON, as text or number", async () => {
  const url = await server((_request, response) => response.end(plain));
  expect(await read(url)).toEqual(ok({ nanoPerUsd: 2_000_000_000 }));
  expect(await read(url, "/data/0/usd~1open")).toEqual(ok({ nanoPerUsd: 500_000_000 }));
  for (const pointer of ["/nothing", "/data", "/data/7", "/price/0", "/__proto__/x", ""])
    expect((await read(url, pointer)).ok).toBe(false);
});

const misbehaving: readonly (readonly [string, RequestListener])[] = [
  ["never answers", () => undefined],
  [
    "drips a byte at a time",
    (_request, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write(" "), 50);
      response.on("close", () => clearInterval(drip));
    },
  ],
  [
    "sends without end",
    (_request, response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write("1".repeat(65_536)));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    },
  ],
  ["is too large, and says so", (_request, response) => response.end(`{"price":1,"pad":"${"x".repeat(100_000)}"}`)],
  ["sends elsewhere", (_request, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(plain)],
  ["says no", (_request, response) => response.writeHead(500).end(plain)],
  ["says garbage", (_request, response) => response.end("<html>")],
  ["says nothing", (_request, response) => response.end()],
  ["says an object", (_request, response) => response.end('{"price":{}}')],
  ["says less than nothing", (_request, response) => response.end('{"price":-1}')],
  ["hangs up", (request) => request.socket.destroy()],
  [
    "hangs up half way",
    (_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write('{"price":1');
      setTimeout(() => response.destroy(), 20);
    },
  ],
];

test.each(misbehaving)("a source that %s is refused, in its time", async (_what, answer) => {
  const url = await server(answer);
  expect((await read(url)).ok).toBe(false);
});

test("a node that others reach asks nothing inside its own network, by whatever name", () => {
  const fetcher = new RateFetcher({ allowsInside: false });
  onTestFinished(() => fetcher.close());
  const inside = [
    "http://example.org/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://10.1.2.3/",
  ];
  for (const url of [
    ...inside,
    "https://169.254.169.254/latest",
    "https://u:p@example.org/",
    "ftp://example.org/",
    "nonsense",
  ])
    expect([url, rateSourceOf(url, undefined, fetcher).ok]).toEqual([url, false]);
  expect(rateSourceOf("https://api.example.org/x#/price", undefined, fetcher)).toMatchObject({
    ok: true,
    value: { name: "example.org" },
  });
});

test("a name that resolves to the own network is not asked", async () => {
  const fetcher = new RateFetcher({ allowsInside: false });
  onTestFinished(() => fetcher.close());
  expect(await fetcher.get("https://localhost/x")).toMatchObject({
    error: { message: expect.stringContaining("own network") },
  });
});

test("a file is as old as it says, or as it was written", async () => {
  const path = join(await temporaryFolder(), "rate.json");
  const asker = { check: () => ok(undefined), get: async () => refuse("not_found", "no") };
  await writeFile(path, plain);
  await utimes(path, 1_600_000_000, 1_600_000_000);
  const source = unwrap(rateSourceOf(`file:${path}#/price`, undefined, asker));
  expect(await source.read()).toEqual(ok({ nanoPerUsd: 2_000_000_000, atMs: 1_600_000_000_000 }));
  const timed = unwrap(rateSourceOf(`file:${path}#/price`, "/at", asker));
  expect(await timed.read()).toEqual(ok({ nanoPerUsd: 2_000_000_000, atMs: 1_700_000_000_000 }));
  expect(await unwrap(rateSourceOf(`file:${path}#/price`, "/price", asker)).read()).toMatchObject({ ok: true });
  expect(await unwrap(rateSourceOf(`file:${path}x#/price`, undefined, asker)).read()).toMatchObject({
    error: { code: "not_found" },
  });
  await writeFile(path, `{"price":1,"pad":"${"x".repeat(70_000)}"}`);
  expect(await source.read()).toMatchObject({ error: { code: "payload_too_large" } });
});

test("what was believed outlives a restart, so that a jump is seen across one", async () => {
  let price = "0.5";
  const url = await server((_request, response) => response.end(JSON.stringify({ price })));
  const data = await temporaryFolder();
  const said: string[] = [];
  const parts = {
    data,
    nowMs: () => 1_700_000_000_000,
    allowsInside: true,
    say: (text: string) => void said.push(text),
  };
  const options = { source: `${url}#/price`, min: "0.1", max: "2" };
  const first = unwrap(await openRates(options, parts));
  expect(first.rates.forDollars()).toMatchObject({ value: { nanoPerUsd: 2_000_000_000 } });
  await first.stop();
  price = "1.9";
  const second = unwrap(await openRates(options, parts));
  expect(second.rates.forDollars()).toMatchObject({ value: { nanoPerUsd: 2_000_000_000 } });
  expect(said.join("\n")).toMatch(/526315789 nano for a dollar, a jump from 2000000000/);
  unwrap(await second.desk!.accept(526_315_789));
  await second.stop();
  price = "3";
  const third = unwrap(await openRates(options, parts));
  expect(third.rates.forDollars()).toMatchObject({ value: { nanoPerUsd: 526_315_789 } });
  expect(third.desk!.state).toMatchObject({ lastError: expect.stringContaining("out of bounds") });
  await third.stop();
});

test("what cannot be a source is refused before anything starts", async () => {
  const parts = { data: await temporaryFolder(), nowMs: () => 0, allowsInside: true, say: () => undefined };
  for (const source of ["fixed:", "fixed:0", "fixed:one", "file:", "file:x#price", "gopher://x", "0.5"])
    expect([source, (await openRates({ source }, parts)).ok]).toEqual([source, false]);
  const fixed = unwrap(await openRates({ source: "fixed:0.5" }, parts));
  expect(fixed.rates.forDollars()).toEqual(ok({ nanoPerUsd: 2_000_000_000, source: "fixed" }));
});
