import { createHash } from "node:crypto";
import { type Hex, utf8 } from "../core/bytes.ts";
import { ok, type Result } from "../core/result.ts";
import type { Job } from "../factory/job.ts";
import type { Base, JobFolders } from "../factory/ports.ts";
import { nextTurn } from "../host/turn.ts";
import { readLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { readAdapterFolder } from "../models/formats/peftFile.ts";
import { sortedTensors } from "../models/formats/safetensors.ts";
import type { Tensors } from "../models/tensor.ts";

/** The hash of a kept checkpoint, as the trainer reckons a result's: a checkpoint with a result's values is the same asset. */
export async function checkpointHash(
  folders: Pick<JobFolders, "weights">,
  job: Job,
  base: Base,
  step: number,
): Promise<Result<Hex>> {
  const folder = folders.weights(job, step);
  const read =
    job.options.adapter === undefined ? await readLlamaFolder(folder) : await readAdapterFolder(folder, base.shape);
  return read.ok ? ok(await hashInTurns(read.value.tensors)) : read;
}

/** As `hashTensors`, with a turn for others between tensors: a whole model has gigabytes. */
async function hashInTurns(tensors: Tensors): Promise<Hex> {
  const hash = createHash("sha256");
  for (const [name, { shape, data }] of sortedTensors(tensors)) {
    hash.update(utf8(`${name}\n${shape.join(" ")}\n`));
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    await nextTurn();
  }
  return `0x${hash.digest("hex")}`;
}
