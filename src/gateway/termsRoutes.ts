import { z } from "zod";
import { fromHex, toHex } from "../core/bytes.ts";
import { ok, refuse } from "../core/result.ts";
import type { Assets } from "../ledger/ledger.ts";
import { writeRsl } from "../protocol/rsl.ts";
import { hex32 } from "../protocol/scalars.ts";
import { plain, type Route, route } from "./routes.ts";

/** What assets ask for, in a form that others' machines read. */
export function termsRoutes(ledger: { readonly assets: Pick<Assets, "get"> }): Route[] {
  return [
    route({
      ...{ ...plain, method: "GET", path: "/api/assets/{id}/rsl", access: "open", tag: "assets" },
      ...{ params: z.object({ id: hex32 }), response: "text", produces: ["application/rsl+xml"] },
      summary: "An asset's terms as a Really Simple Licensing 1.0 document",
      handle: ({ params }) => {
        const asset = ledger.assets.get(fromHex(params.id));
        if (asset === undefined) return refuse("not_found", `there is no asset ${params.id}`);
        const body = writeRsl(`openledger:asset/${toHex(asset.id)}`, asset.terms);
        return ok({ kind: "bytes", body, headers: { "content-type": "application/rsl+xml; charset=utf-8" } });
      },
    }),
  ];
}
