import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import pg from "pg";
import { toHex } from "../core/bytes.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import {
  closeLog,
  diskRefusal,
  errorCode,
  keepSecret,
  openLog,
  readIfThere,
  refuseOnDisk,
  sizeOf,
  tailOf,
} from "../host/files.ts";
import { choosePort } from "../host/ports.ts";
import { commandOf, endProcess, nameProcess, until } from "../host/processes.ts";
import { type ChildEvent, type Life, Supervisor } from "../host/supervisor.ts";
import { openCluster, SUPERUSER } from "./cluster.ts";
import { findNative, type NativePostgres } from "./native.ts";
import { chooseServant, type Servant } from "./servant.ts";

export interface EmbeddedOptions {
  /** The data folder; the cluster is its `postgres`, the log its `postgres.log`. It is made if it is not there. */
  readonly data: string;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly onEvent: (event: ChildEvent) => void;
  /** A fixed port on 127.0.0.1; without it any free one. */
  readonly port?: number;
  /** Where root keeps what its servant could not reach below a closed folder. */
  readonly sharedFolder?: string;
  /** The text of passwd(5); the system's own by default. */
  readonly users?: () => string;
}

/** A PostgreSQL server that is a child of this process, kept alive until it is stopped. */
export interface EmbeddedPostgres {
  /** Of the database `openledger`; it stays the same across restarts of the server. */
  readonly url: string;
  urlOf(database: string): string;
  /** Undefined while the server is down. */
  pid(): number | undefined;
  /** Ends sessions, writes a shutdown checkpoint and waits for it. Idempotent. */
  stop(): Promise<void>;
}

const NAME = "PostgreSQL";
const DATABASE = "openledger";
const READY_WAIT_MS = 60_000;

/** Fast shutdown first, then immediate (replayed at the next start), then none (PostgreSQL manual, 18.5). */
const SHUTDOWN = [
  { signal: "SIGINT", waitMs: 15_000 },
  { signal: "SIGQUIT", waitMs: 5_000 },
  { signal: "SIGKILL", waitMs: 2_000 },
] as const;

/**
 * Starts PostgreSQL from the data folder: makes the cluster the first time, stops a server that a killed
 * process left behind, and restarts the server whenever it dies.
 * Refuses with `port_in_use`, `disk_full`, `forbidden`, `data_folder_damaged` or `store_unavailable`.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<Result<EmbeddedPostgres>> {
  const started = await refuseOnDisk(options.data, () => start(options));
  return started.ok ? started.value : started;
}

async function start(options: EmbeddedOptions): Promise<Result<EmbeddedPostgres>> {
  const data = resolve(options.data);
  const servant = chooseServant(process.getuid?.() ?? -1, options.users);
  if (!servant.ok) return servant;
  const sharedFolder = options.sharedFolder ?? (servant.value === undefined ? data : "/var/lib/openledger");
  await mkdir(data, { recursive: true });
  const native = await findNative(servant.value, sharedFolder);
  if (!native.ok) return native;
  const password = await keepSecret(join(data, "postgres.password"), () => toHex(options.randomBytes(24)).slice(2));
  const cluster = await openCluster(data, native.value, servant.value, { password, sharedFolder });
  if (!cluster.ok) return cluster;
  const { folder, notes } = cluster.value;
  for (const note of notes) options.onEvent({ kind: "recovered", name: NAME, note });
  const orphan = await stopOrphan(folder);
  if (!orphan.ok) return orphan;
  if (orphan.value !== undefined) options.onEvent({ kind: "recovered", name: NAME, note: orphan.value });
  const port = await choosePort(options.port, NAME);
  if (!port.ok) return port;

  const server = {
    folder,
    native: native.value,
    servant: servant.value,
    port: port.value,
    log: join(data, "postgres.log"),
  };
  const supervisor = new Supervisor({
    name: NAME,
    unavailable: "store_unavailable",
    launch: async () => {
      const launched = await refuseOnDisk(data, () => launch(server));
      return launched.ok ? launched.value : launched;
    },
    halt: (life) => halt(life.child),
    onEvent: options.onEvent,
  });
  const serving = await supervisor.start();
  if (!serving.ok) return serving;
  const urlOf = (database: string): string =>
    `postgres://${SUPERUSER}:${password}@127.0.0.1:${server.port}/${database}`;
  const entered = await ensureDatabase(urlOf("postgres"), data);
  if (!entered.ok) {
    await supervisor.stop();
    return entered;
  }
  return ok({ url: urlOf(DATABASE), urlOf, pid: () => supervisor.pid, stop: () => supervisor.stop() });
}

interface Server {
  readonly folder: string;
  readonly native: NativePostgres;
  readonly servant: Servant | undefined;
  readonly port: number;
  readonly log: string;
}

async function launch(server: Server): Promise<Result<Life>> {
  // A server that was killed leaves its backends for a moment; a new one refuses to start beside them.
  const orphan = await stopOrphan(server.folder);
  if (!orphan.ok) return orphan;
  await chmod(server.folder, 0o700);
  const log = openLog(server.log);
  const logStart = sizeOf(server.log);
  const as = server.servant === undefined ? {} : { uid: server.servant.uid, gid: server.servant.gid };
  const child = spawn(server.native.postgres, ["-D", server.folder, ...settings(server.port)], {
    ...as,
    cwd: "/",
    env: { LC_ALL: "C", TZ: "UTC" },
    stdio: ["ignore", log, log],
    // Its own process group: Ctrl-C in a terminal reaches us alone, and we stop children in order.
    detached: true,
  });
  const failed = new Promise<Error | undefined>((resolve) => {
    child.once("error", resolve);
    child.once("spawn", () => resolve(undefined));
  });
  closeLog(log);
  const error = await failed;
  if (error !== undefined) return refuse("store_unavailable", `PostgreSQL could not be started: ${error.message}`);
  const ready = await until(async () => ended(child) || (await isReady(server.folder, child.pid)), READY_WAIT_MS);
  if (ready && !ended(child)) return ok({ child, note: `on port ${server.port}, recovered from its write-ahead log` });
  if (!ended(child)) await halt(child);
  return { ok: false, error: await explain(server, logStart) };
}

/** Durable whatever the host's defaults; no socket file, so that no path is ever too long for one. */
function settings(port: number): string[] {
  const values = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    fsync: "on",
    full_page_writes: "on",
    synchronous_commit: "on",
    shared_buffers: "128MB",
    max_wal_size: "1GB",
    max_connections: "100",
    timezone: "UTC",
    log_timezone: "UTC",
    log_destination: "stderr",
    logging_collector: "off",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** Line 8 of postmaster.pid says what the server is at (src/include/utils/pidfile.h). */
async function isReady(folder: string, pid: number | undefined): Promise<boolean> {
  const lines = ((await readIfThere(join(folder, "postmaster.pid"))) ?? "").split("\n");
  return Number(lines[0]) === pid && lines[7]?.trim() === "ready";
}

/**
 * A server outlives the process that started it when that is killed. If postmaster.pid names a living server of
 * this very cluster it is stopped; what it says about any other process is stale.
 */
async function stopOrphan(folder: string): Promise<Result<string | undefined>> {
  const pidFile = join(folder, "postmaster.pid");
  const text = await readIfThere(pidFile);
  if (text === undefined) return ok(undefined);
  const orphan = nameProcess(Number(text.split("\n")[0]));
  if (orphan === undefined || !commandOf(orphan.pid).includes(`-D ${folder} -c `)) {
    // Another process has the pid by now. The server would trust the number and refuse to start.
    await rm(pidFile, { force: true });
    return ok(undefined);
  }
  if (await endProcess(orphan, SHUTDOWN))
    return ok(`stopped the server that an earlier run left behind (pid ${orphan.pid})`);
  return refuse("data_folder_in_use", `a PostgreSQL server (pid ${orphan.pid}) uses ${folder} and cannot be stopped`, {
    hint: `stop it: kill -INT ${orphan.pid}`,
  });
}

async function halt(child: ChildProcess): Promise<void> {
  const name = child.pid === undefined ? undefined : nameProcess(child.pid);
  if (name !== undefined) await endProcess(name, SHUTDOWN);
}

function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function explain(server: Server, logStart: number): Promise<Refusal> {
  const said = await tailOf(server.log, 8, logStart);
  if (/could not bind|Address already in use/.test(said)) {
    return refuse("port_in_use", `port ${server.port} on 127.0.0.1 was taken before PostgreSQL could`, {
      field: "port",
    }).error;
  }
  return (
    diskRefusal(server.folder, said) ??
    refuse("store_unavailable", `PostgreSQL did not start: ${said.split("\n").at(-1) ?? ""}`, {
      hint: `see ${server.log}`,
    }).error
  );
}

async function ensureDatabase(url: string, data: string): Promise<Result<void>> {
  const client = new pg.Client({ connectionString: url });
  try {
    await client.connect();
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [DATABASE]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    return ok(undefined);
  } catch (error) {
    const disk = diskRefusal(data, String(error));
    if (disk !== undefined) return { ok: false, error: disk };
    // 28P01 invalid_password (PostgreSQL manual, appendix A): the file was lost or replaced, the cluster was not.
    if (errorCode(error) !== "28P01") return refuse("store_unavailable", `PostgreSQL starts but refuses us: ${error}`);
    return refuse("data_folder_damaged", `${join(data, "postgres.password")} does not open the database beside it`, {
      hint: "restore that file from a backup, or choose another folder with --data",
    });
  } finally {
    await client.end();
  }
}
