import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { unwrap } from "../../core/result.ts";
import { readSafetensorsFile, writeSafetensorsFile } from "../formats/safetensorsFile.ts";
import type { Tensors } from "../tensor.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpointFile.ts";
import type { TrainingState } from "./trainingRun.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-checkpoint-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tensors = (...values: number[]): Tensors =>
  new Map([["w", { shape: [values.length], data: Float32Array.from(values) }]]);
const state: TrainingState = {
  ...{ step: 7, values: tensors(1, -0), means: tensors(1e-30, 2), squares: tensors(3, 4), worse: 1 },
  ...{ best: { loss: 0.1 + 0.2, step: 5, values: tensors(5, 6) }, heldOutLoss: 1 / 3 },
};

describe("a checkpoint", () => {
  it("is read back to the bit", async () => {
    expect(unwrap(await readCheckpoint(folder, "task", tensors(0, 0)))).toBeUndefined();
    unwrap(await writeCheckpoint(folder, "task", state));
    expect(unwrap(await readCheckpoint(folder, "task", tensors(0, 0)))).toEqual(state);
    const { best: _best, heldOutLoss: _loss, ...bare } = state;
    unwrap(await writeCheckpoint(folder, "task", bare));
    expect(unwrap(await readCheckpoint(folder, "task", tensors(0, 0)))).toEqual(bare);
  });

  it("is refused where it is another's or not whole", async () => {
    unwrap(await writeCheckpoint(folder, "task", state));
    expect(await readCheckpoint(folder, "other", tensors(0, 0))).toMatchObject({ error: { code: "conflict" } });
    expect(await readCheckpoint(folder, "task", tensors(0))).toMatchObject({ error: { code: "data_folder_damaged" } });
    const path = join(folder, "checkpoint.safetensors");
    const file = unwrap(await readSafetensorsFile(path));
    const without = new Map([...file.tensors].filter(([name]) => name !== "means/w"));
    unwrap(await writeSafetensorsFile(path, without, { metadata: file.metadata }));
    expect(await readCheckpoint(folder, "task", tensors(0, 0))).toMatchObject({
      error: { code: "data_folder_damaged" },
    });
    unwrap(await writeSafetensorsFile(path, file.tensors, { metadata: { training: "{}" } }));
    expect(await readCheckpoint(folder, "task", tensors(0, 0))).toMatchObject({
      error: { code: "data_folder_damaged" },
    });
  });
});
