import { expect, test } from "vitest";
import { buildName } from "./buildName.ts";

test("names what a training's bits follow from, and a node without the runtime has a name too", () => {
  expect(buildName()).toMatch(/^node v\d+\S* \w+-\w+, onnxruntime \d+\.\d+\.\d+, 1 thread$/);
  const missing = (path: string): unknown => {
    throw new Error(`Cannot find module '${path}'`);
  };
  expect(buildName(missing)).toContain("onnxruntime not installed");
});
