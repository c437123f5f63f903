import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * The folder of the house model: weights are kept once, beside the sources, and not copied by the build. `npm run bench -- house` says how they were made,
 * the folder's README what they were made of.
 */
export function houseModelFolder(): string {
  const places = ["./house/", "../../../src/models/house/"].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  return places.find((place) => existsSync(`${place}model.safetensors`)) ?? places[0]!;
}
