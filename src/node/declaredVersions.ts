import { toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { DeclaredVersion, FindVersion } from "./declared.ts";
import { scopeOf } from "./modelShelf.ts";
import type { Provenance } from "./provenance.ts";

/** Hundreds of models are often made of few versions: those read last are kept at hand. */
const VERSIONS_MAX = 8;

/** Versions in a node's own store. */
export function findVersionIn(store: DatanetStore, provenance: Provenance): FindVersion {
  const kept = new Map<string, DeclaredVersion>();
  return async (datanet, number): Promise<Result<DeclaredVersion>> => {
    const version = (await store.datanet(datanet)) && (await store.version(datanet, number));
    if (version === undefined)
      return refuse(
        "not_found",
        `the datanet ${datanet} has no ${number === undefined ? "version" : `version ${number}`}`,
        {
          hint: `openledger datanet publish ${datanet}`,
          field: "datanet",
        },
      );
    const known = kept.get(version.id);
    if (known !== undefined) return ok(known);
    const asset = provenance.ledger.assets
      .list()
      .find(({ kind, contentRoot }) => kind === "datanet" && toHex(contentRoot) === version.id)?.id;
    if (asset === undefined)
      return refuse("conflict", `version ${version.number} of ${datanet} is not registered as an asset`);
    const [records, scope] = [
      await store.versionRecords(datanet, version.number),
      await scopeOf(store, provenance, datanet),
    ];
    const found = { datanet, number: version.number, asset, scope, records };
    kept.set(version.id, found);
    for (const oldest of kept.keys()) {
      if (kept.size <= VERSIONS_MAX) break;
      kept.delete(oldest);
    }
    return ok(found);
  };
}
