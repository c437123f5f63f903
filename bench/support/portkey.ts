import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "../../src/host/ports.ts";
import { ended, treeCpuMicros } from "./benchProcess.ts";

export const PORTKEY = "@portkey-ai/gateway@1.15.2";

interface Portkey {
  readonly name: "portkey";
  readonly url: string;
  readonly headers: Record<string, string>;
  usage(): Promise<{ readonly cpuMicros: number }>;
  stop(): Promise<void>;
}

/** Portkey's gateway, installed from npm into a temporary folder and run by its own start script; undefined where it cannot be installed. */
export async function startPortkey(upstream: string): Promise<Portkey | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "portkey-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  const arguments_ = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", PORTKEY];
  const installed = await promisify(execFile)("npm", arguments_, { timeout: 180_000 }).then(
    () => true,
    () => false,
  );
  const script = join(folder, "node_modules/@portkey-ai/gateway/build/start-server.js");
  if (!installed || !existsSync(script)) {
    await remove();
    return undefined;
  }
  await mendStreaming(script);
  const port = await freePort();
  const child = spawn(process.execPath, [script, `--port=${port}`, "--headless"], { cwd: folder, stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 100 && !(await answers(url)); tries++) await new Promise((next) => setTimeout(next, 100));
  // It calls no private address but those of this machine, which it trusts by default.
  const headers = {
    ...{ "x-portkey-provider": "openai", "x-portkey-custom-host": `${upstream}/v1` },
    ...{ authorization: "Bearer none", "content-type": "application/json" },
  };
  const stop = async () => {
    await ended(child, () => child.kill());
    await remove();
  };
  return { name: "portkey", url, headers, usage: async () => ({ cpuMicros: treeCpuMicros(child.pid ?? 0) }), stop };
}

/**
 * With its web framework's stand-in for `Response`, headers of a streamed answer stay immutable until some other property was read, and every
 * stream ends in a 500. One read more, at no cost worth the name, and it streams.
 */
async function mendStreaming(script: string): Promise<void> {
  const text = await readFile(script, "utf8");
  await writeFile(script, text.replace("updateHeaders(e,t,a){return ", "updateHeaders(e,t,a){void e.url;return "));
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}
