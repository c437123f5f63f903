import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../../test/support/folders.ts";
import { ownProcess } from "../../test/support/ownProcess.ts";
import { type Result, unwrap } from "../core/result.ts";
import { isAlive, until } from "../host/processes.ts";
import type { ChildEvent } from "../host/supervisor.ts";
import { type EmbeddedOptions, type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded.ts";

const events: ChildEvent[] = [];
const notes = (): string => events.map((event) => ("note" in event ? event.note : event.kind)).join("\n");

async function tryStart(data: string, more: Partial<EmbeddedOptions> = {}): Promise<Result<EmbeddedPostgres>> {
  events.length = 0;
  const result = await startEmbeddedPostgres({ data, randomBytes, onEvent: (event) => events.push(event), ...more });
  if (result.ok) onTestFinished(() => result.value.stop());
  return result;
}

async function start(data: string, more: Partial<EmbeddedOptions> = {}): Promise<EmbeddedPostgres> {
  return unwrap(await tryStart(data, more));
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query({ text, rowMode: "array" })).rows.flat();
  } finally {
    await client.end();
  }
}

describe("a first start", () => {
  test("makes a durable cluster behind a password, and stopping it leaves nothing behind", async () => {
    const data = await temporaryFolder();
    const server = await start(data);
    const pid = server.pid() ?? 0;
    expect(await query(server.url, "SHOW fsync")).toEqual(["on"]);
    expect(await query(server.url, "SHOW data_checksums")).toEqual(["on"]);
    expect(await query(server.url, "SELECT current_database()")).toEqual(["openledger"]);
    await expect(query(server.url.replace(/:[0-9a-f]{48}@/, ":wrong@"), "SELECT 1")).rejects.toThrow(/password/);
    expect(statSync(join(data, "postgres.password")).mode & 0o777).toBe(0o600);
    await server.stop();
    await server.stop();
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(join(data, "postgres", "postmaster.pid"))).toBe(false);
  });

  test("removes what an interrupted one left, and sets aside a folder that is no cluster", async () => {
    const data = await temporaryFolder();
    mkdirSync(join(data, "postgres.making-1", "cluster"), { recursive: true });
    mkdirSync(join(data, "postgres", "base", "1"), { recursive: true });
    writeFileSync(join(data, "postgres", "PG_VERSION"), "18\n");
    const server = await start(data);
    expect(await query(server.url, "SELECT 1")).toEqual([1]);
    expect(readdirSync(data).filter((name) => name.startsWith("postgres.making"))).toEqual([]);
    expect(existsSync(join(data, "postgres.half-made-1", "PG_VERSION"))).toBe(true);
    expect(notes()).toContain("half-made");
  });
});

describe("what is refused", () => {
  test("a fixed port that is taken", async () => {
    const data = await temporaryFolder();
    const other = createServer();
    const port = await new Promise<number>((resolve) => {
      other.listen(0, "127.0.0.1", () => {
        const address = other.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    onTestFinished(() => void other.close());
    expect(await tryStart(data, { port })).toMatchObject({ ok: false, error: { code: "port_in_use", field: "port" } });
  });

  test("a cluster of another version, and one that lost its control file but holds databases: nothing is changed", async () => {
    const data = await temporaryFolder();
    const cluster = join(data, "postgres");
    mkdirSync(join(cluster, "global"), { recursive: true });
    writeFileSync(join(cluster, "global", "pg_control"), "");
    writeFileSync(join(cluster, "PG_VERSION"), "12\n");
    expect(await tryStart(data)).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
    rmSync(join(cluster, "global", "pg_control"));
    mkdirSync(join(cluster, "base", "16384"), { recursive: true });
    expect(await tryStart(data)).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
    expect(existsSync(join(cluster, "base", "16384"))).toBe(true);
  });

  test("a password file that was lost, and the server does not stay behind", async () => {
    const data = await temporaryFolder();
    await (await start(data)).stop();
    rmSync(join(data, "postgres.password"));
    expect(await tryStart(data)).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
    expect(existsSync(join(data, "postgres", "postmaster.pid"))).toBe(false);
  });

  test.skipIf(!mayMount())("a disk that is full", async () => {
    const data = await temporaryFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", data]);
    onTestFinished(() => void execFileSync("umount", ["-l", data]));
    expect(await tryStart(data)).toMatchObject({ ok: false, error: { code: "disk_full" } });
    expect(readdirSync(data)).toEqual(["postgres.password"]);
  });
});

describe("after a kill", () => {
  test("of the server: it is restarted on the same address with every acknowledged row", async () => {
    const server = await start(await temporaryFolder());
    await query(server.url, "CREATE TABLE kept AS SELECT 7 AS n");
    const pid = server.pid() ?? 0;
    process.kill(pid, "SIGKILL");
    expect(await until(() => events.some((event) => event.kind === "restarted"), 20_000)).toBe(true);
    expect(server.pid()).not.toBe(pid);
    expect(await query(server.url, "SELECT n FROM kept")).toEqual([7]);
    expect(events[0]).toMatchObject({ kind: "exited", how: "signal SIGKILL" });
  });

  test("of the process that started it: the next start stops the server left behind and keeps the rows", async () => {
    const data = await temporaryFolder();
    const parent = await ownProcess("./holdPostgres.ts", [data]);
    const said = parent.said;
    if (typeof said !== "object" || said === null || !("url" in said) || !("pid" in said)) throw new Error("no url");
    await query(String(said.url), "CREATE TABLE kept AS SELECT 8 AS n");
    await parent.kill();
    expect(isAlive(Number(said.pid))).toBe(true);
    const server = await start(data);
    expect(isAlive(Number(said.pid))).toBe(false);
    expect(notes()).toContain(`left behind (pid ${said.pid})`);
    expect(await query(server.url, "SELECT n FROM kept")).toEqual([8]);
  });

  test("a postmaster.pid that names a process of someone else is stale, and that process is left alone", async () => {
    const data = await temporaryFolder();
    const first = await start(data);
    await first.stop();
    writeFileSync(join(data, "postgres", "postmaster.pid"), `${process.pid}\n${data}/postgres\n0\n1\n\n\n\nready\n`);
    const second = await start(data);
    expect(await query(second.url, "SELECT 1")).toEqual([1]);
  });
});

describe.skipIf(process.getuid?.() !== 0)("started by root", () => {
  const nobody = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";

  test("on a system without a postgres user it runs as nobody", async () => {
    const server = await start(await temporaryFolder(), { users: () => nobody });
    expect(statSync(`/proc/${server.pid()}`).uid).toBe(65_534);
  });

  test("below a folder that others may not enter, the cluster lives in the shared folder and is found again", async () => {
    const closed = await temporaryFolder();
    const sharedFolder = await temporaryFolder();
    const data = join(closed, "closed", "data");
    mkdirSync(join(closed, "closed"), { mode: 0o700 });
    const first = await start(data, { sharedFolder, users: () => nobody });
    await query(first.url, "CREATE TABLE kept AS SELECT 9 AS n");
    expect(notes()).toContain("so the database lives in");
    await first.stop();
    const second = await start(data, { sharedFolder, users: () => nobody });
    expect(await query(second.url, "SELECT n FROM kept")).toEqual([9]);
  });
});

/** Root of a machine of its own may mount a small disk; root of a container often may not. */
function mayMount(): boolean {
  if (process.getuid?.() !== 0 || process.platform !== "linux") return false;
  try {
    execFileSync("sh", ["-c", "d=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs $d && umount $d && rmdir $d"], {
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  }
}
