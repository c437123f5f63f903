// onnxruntime-node ships the binaries of every platform in one package, 240 MB of which no machine can use all: those of others are removed.
import { readdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const binaries = fileURLToPath(new URL("../node_modules/onnxruntime-node/bin", import.meta.url));

for (const api of await list(binaries)) {
  for (const platform of await list(`${binaries}/${api}`)) {
    for (const architecture of await list(`${binaries}/${api}/${platform}`)) {
      if (platform === process.platform && architecture === process.arch) continue;
      await rm(`${binaries}/${api}/${platform}/${architecture}`, { recursive: true, force: true });
    }
  }
}

/** The entries of a folder; none where the folder is missing, as when the package was left out. */
async function list(folder) {
  return await readdir(folder).catch(() => []);
}
