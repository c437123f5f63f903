/** A dense array of float32, row-major: the last dimension is contiguous. `data.length` is the product of `shape`. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Tensors by name. */
export type Tensors = ReadonlyMap<string, Tensor>;
