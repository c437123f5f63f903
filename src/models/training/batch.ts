import type { Feed } from "../onnx/runtime.ts";
import type { EncodedExample } from "./chatTemplate.ts";
import { lengthOf, type Sequence } from "./packing.ts";

/** Sequences as a graph's inputs, see `llamaGraph`. */
export interface Batch {
  readonly feeds: ReadonlyMap<string, Feed>;
  /** Whose each target is, in the order of `losses`. */
  readonly owners: readonly EncodedExample[];
  readonly batch: number;
  /** Tokens of a sequence, padding included. */
  readonly length: number;
  /** Tokens that a target can see, over the batch. */
  readonly relevant: number;
}

/** `weight` is each target's in the sum that is differentiated. Padding is a segment of its own that nothing learns from. */
export function batchOf(sequences: readonly Sequence[], weight: number): Batch {
  const batch = sequences.length;
  const length = Math.max(...sequences.map(lengthOf));
  const tokens = new BigInt64Array(batch * length);
  const positions = new BigInt64Array(batch * length);
  const segments = new BigInt64Array(batch * length).fill(-1n);
  const relevant = new Float32Array(batch * length);
  const rows: number[] = [];
  const targets: number[] = [];
  const owners: EncodedExample[] = [];
  sequences.forEach((sequence, b) => {
    let at = b * length;
    sequence.forEach((example, segment) => {
      const last = example.isTarget.lastIndexOf(1);
      example.tokens.forEach((token, i) => {
        tokens[at + i] = BigInt(token);
        positions[at + i] = BigInt(i);
        segments[at + i] = BigInt(segment);
        relevant[at + i] = i < last ? 1 : 0;
        if (example.isTarget[i] !== 1) return;
        rows.push(at + i - 1);
        targets.push(token);
        owners.push(example);
      });
      at += example.tokens.length;
    });
  });
  const shape = [batch, length];
  const count = rows.length;
  const feeds = new Map<string, Feed>([
    ["tokens", { type: "int64", shape, data: tokens }],
    ["positions", { type: "int64", shape, data: positions }],
    ["segments", { type: "int64", shape, data: segments }],
    ["rows", { type: "int64", shape: [count], data: BigInt64Array.from(rows, BigInt) }],
    ["targets", { type: "int64", shape: [count], data: BigInt64Array.from(targets, BigInt) }],
    ["weights", { type: "float", shape: [count, 1], data: new Float32Array(count).fill(weight) }],
    ["relevant", { type: "float", shape: [batch * length, 1], data: relevant }],
  ]);
  return { feeds, owners, batch, length, relevant: relevant.reduce((sum, one) => sum + one, 0) };
}
