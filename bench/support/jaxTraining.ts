import { pathToFileURL } from "node:url";
import { PEER_BATCH, tinyShape } from "./tinyLlama.ts";

// Loss and gradients of the tiny Llama by jax-js, jitted, on its WebAssembly device: `node jaxTraining.js PATH/TO/@jax-js/jax/dist/index.js`.
// The library counts references: whatever is used again is passed as `.ref`. It is installed at run time, so it has no types here.

const { init, jit, numpy: np, nn, tree, valueAndGrad } = await import(pathToFileURL(process.argv[2] ?? "").href);
await init("wasm");

const { vocabulary: V, hidden: D, intermediate: I, layers: L, heads: H, headSize, ropeTheta, normEpsilon } = tinyShape;
const { batch: B, length: T } = PEER_BATCH;
const [N, half] = [B * T, headSize / 2];

const floats = (shape: readonly number[], make: (i: number) => number) =>
  np.array(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_unused, i) => make(i))).reshape(shape);
const random = (...shape: number[]) => floats(shape, () => 0.07 * (Math.random() - 0.5));
const angles = (turn: (angle: number) => number) =>
  floats([1, T, 1, half], (i) => turn(Math.floor(i / half) * ropeTheta ** (-(i % half) / half)));
const tokens = () => np.array(Int32Array.from({ length: N }, () => Math.floor(Math.random() * V)));

const weights = {
  ...{ embed: random(V, D), norm: np.ones([D]) },
  layers: Array.from({ length: L }, () => ({
    ...{ n1: np.ones([D]), n2: np.ones([D]), q: random(D, D), k: random(D, D), v: random(D, D), o: random(D, D) },
    ...{ gate: random(D, I), up: random(D, I), down: random(I, D) },
  })),
};
const places = {
  ...{ cos: angles(Math.cos), sin: angles(Math.sin) },
  mask: floats([1, 1, T, T], (i) => (i % T <= Math.floor(i / T) ? 0 : -1e9)),
};

type Lazy = ReturnType<typeof np.array>;

function norm(x: Lazy, gain: Lazy): Lazy {
  const mean = np.square(x.ref).mean(-1, { keepdims: true });
  return x.mul(np.reciprocal(np.sqrt(mean.add(normEpsilon)))).mul(gain);
}

function turned(x: Lazy, { cos, sin }: { cos: Lazy; sin: Lazy }): Lazy {
  const [a, b] = np.split(x, 2, -1);
  const [first, second] = [a.ref.mul(cos.ref).sub(b.ref.mul(sin.ref)), b.mul(cos.ref).add(a.mul(sin.ref))];
  return np.concatenate([first, second], -1);
}

function loss(model: typeof weights, inputs: Lazy, targets: Lazy, at: typeof places): Lazy {
  let x = np.matmul(nn.oneHot(inputs, V), model.embed.ref);
  for (const layer of model.layers) {
    const heard = norm(x.ref, layer.n1);
    const heads = (weight: Lazy): Lazy => np.matmul(heard.ref, weight).reshape([B, T, H, headSize]);
    const q = turned(heads(layer.q), at).transpose([0, 2, 1, 3]);
    const k = turned(heads(layer.k), at).transpose([0, 2, 3, 1]);
    const v = heads(layer.v).transpose([0, 2, 1, 3]);
    heard.dispose();
    const scores = np.matmul(q, k).mul(1 / Math.sqrt(headSize));
    const mixed = np.matmul(nn.softmax(scores.add(at.mask.ref), -1), v);
    x = x.add(np.matmul(mixed.transpose([0, 2, 1, 3]).reshape([N, D]), layer.o));
    const inner = norm(x.ref, layer.n2);
    const gate = nn.silu(np.matmul(inner.ref, layer.gate));
    x = x.add(np.matmul(gate.mul(np.matmul(inner, layer.up)), layer.down));
  }
  const logits = np.matmul(norm(x, model.norm), model.embed.transpose());
  tree.dispose(at);
  return nn
    .logSoftmax(logits, -1)
    .mul(nn.oneHot(targets, V))
    .sum()
    .mul(-1 / N);
}

const step = jit((model: typeof weights, inputs: Lazy, targets: Lazy, at: typeof places) =>
  valueAndGrad(loss)(model, inputs, targets, at),
);

async function once(): Promise<void> {
  const [value, gradients] = step(tree.ref(weights), tokens(), tokens(), tree.ref(places));
  await value.data();
  for (const gradient of tree.leaves(gradients)) await gradient.data();
}

const RUNS = 4;
await once();
await once();
const [cpu, startedAt] = [process.cpuUsage(), performance.now()];
for (let i = 0; i < RUNS; i++) await once();
const { user, system } = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    perSecond: Math.round((RUNS * N * 1_000) / (performance.now() - startedAt)),
    perCpuSecond: Math.round((RUNS * N * 1e6) / (user + system)),
    residentMb: Math.round(process.memoryUsage.rss() / 1e6),
  }),
);
