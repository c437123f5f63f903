import { ok, type Result, refuse } from "../../core/result.ts";

/** A tensor as it enters or leaves a graph. */
export type Feed =
  | { readonly type: "float"; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly type: "int64"; readonly shape: readonly number[]; readonly data: BigInt64Array }
  /** One byte an element, 0 or 1. */
  | { readonly type: "bool"; readonly shape: readonly number[]; readonly data: Uint8Array };

export interface Session {
  /** Float outputs by name, those in `outputs` or all. Inputs are read in place while it runs. */
  run(feeds: ReadonlyMap<string, Feed>): Promise<ReadonlyMap<string, FloatTensor>>;
  close(): Promise<void>;
}

export interface FloatTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface Runtime {
  /** Of the library that computes: results are the same bits for the same build. */
  readonly version: string;
  /** Reads an ONNX file from memory. */
  open(model: Uint8Array, options?: SessionOptions): Promise<Session>;
}

export interface SessionOptions {
  /** Threads of one operator; results may differ in the last bits between numbers of threads. */
  readonly threads?: number;
}

/** ONNX Runtime, loaded on first use: it is native code, 45 MB, and needed by nobody who does not train. */
export async function loadRuntime(load = () => import("onnxruntime-node")): Promise<Result<Runtime>> {
  let library: Awaited<ReturnType<typeof load>>;
  try {
    library = await load();
  } catch (error) {
    return refuse("upstream_failed", `The training runtime cannot be loaded: ${firstLine(error)}`, {
      hint: "Install it with: npm install onnxruntime-node (ONNXRUNTIME_NODE_INSTALL=skip without a network).",
    });
  }
  const { InferenceSession, Tensor, env } = library;
  const open = async (model: Uint8Array, { threads = 1 }: SessionOptions = {}): Promise<Session> => {
    const session = await InferenceSession.create(model, {
      executionProviders: ["cpu"],
      graphOptimizationLevel: "all",
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      // Waiting threads sleep: a machine that also serves has better use for their core.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
      // Shapes change from batch to batch; a pattern for each would be planned and kept.
      enableMemPattern: false,
      logSeverityLevel: 3,
    });
    const wrap = ({ type, shape, data }: Feed): InstanceType<typeof Tensor> => {
      if (type === "float") return new Tensor("float32", data, shape);
      return type === "int64" ? new Tensor("int64", data, shape) : new Tensor("bool", data, shape);
    };
    return {
      async run(feeds) {
        const inputs = Object.fromEntries(session.inputNames.map((name) => [name, wrap(feedOf(feeds, name))]));
        const found = await session.run(inputs);
        return new Map(
          Object.entries(found).map(([name, { dims, data }]) => {
            if (!(data instanceof Float32Array)) throw new Error(`output ${name} is not float32`);
            return [name, { shape: dims, data }];
          }),
        );
      },
      close: () => session.release(),
    };
  };
  return ok({ version: env.versions.node ?? "unknown", open });
}

function feedOf(feeds: ReadonlyMap<string, Feed>, name: string): Feed {
  const feed = feeds.get(name);
  if (feed === undefined) throw new Error(`the graph's input ${name} is missing`);
  return feed;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
