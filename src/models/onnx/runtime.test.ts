import { expect, it } from "vitest";
import { loadRuntime } from "./runtime.ts";

it("says how to install the runtime where it is missing", async () => {
  const loaded = await loadRuntime(() => Promise.reject(new Error("Cannot find package 'onnxruntime-node'\nat …")));
  expect(loaded).toEqual({
    ok: false,
    error: expect.objectContaining({
      code: "upstream_failed",
      message: expect.stringContaining("Cannot find package 'onnxruntime-node'"),
      hint: expect.stringContaining("npm install onnxruntime-node"),
    }),
  });
});
