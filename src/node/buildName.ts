import { createRequire } from "node:module";
import { field } from "../models/formats/json.ts";

/** What else than data and options a training's bits follow from. Where the runtime is not installed nothing is trained, and all else goes on. */
export function buildName(read: (path: string) => unknown = createRequire(import.meta.url)): string {
  const { version, platform, arch } = process;
  return `node ${version} ${platform}-${arch}, onnxruntime ${runtimeVersion(read)}, 1 thread`;
}

function runtimeVersion(read: (path: string) => unknown): string {
  try {
    return String(field(read("onnxruntime-node/package.json"), "version"));
  } catch {
    return "not installed";
  }
}
