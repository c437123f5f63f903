import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok } from "../../core/result.ts";
import { datanetListSchema } from "../../protocol/datanets.ts";
import { epochListSchema } from "../../protocol/epochs.ts";
import {
  healthSchema,
  operatorListSchema,
  pressureSchema,
  rhythmSchema,
  servedModelListSchema,
  totalsSchema,
} from "../../protocol/service.ts";
import { counted } from "../output.ts";
import { command } from "./command.ts";

export const statusCommand = command({
  path: "status",
  summary: "How the node is: health, sums, rhythm, pressure",
  examples: [
    "openledger status",
    "openledger status --json | jq .totals",
    "openledger status --url http://127.0.0.1:4242",
  ],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const { get, url } = client.value;
    const health = await get("/api/health", healthSchema);
    if (!health.ok) return health;
    const totals = await get("/api/totals", totalsSchema);
    if (!totals.ok) return totals;
    const rhythm = await get("/api/rhythm", rhythmSchema);
    if (!rhythm.ok) return rhythm;
    const pressure = await get("/api/pressure", pressureSchema);
    if (!pressure.ok) return pressure;
    const epochs = await get("/api/epochs", epochListSchema);
    if (!epochs.ok) return epochs;
    const models = await get("/api/models", servedModelListSchema);
    if (!models.ok) return models;
    const operators = await get("/api/operators", operatorListSchema);
    if (!operators.ok) return operators;
    // A node may run without datanets.
    const datanets = await get("/api/datanets", datanetListSchema);
    if (!datanets.ok && datanets.error.code !== "not_found") return datanets;
    const { status, why, version, ledger, journalSize, uptimeSeconds } = health.value;
    output.line(`${url}  ${status}, up ${Math.round(uptimeSeconds)} s, version ${version}`);
    if (why !== undefined) output.line(`  nothing is written: ${why}`);
    output.line(`ledger ${ledger}, ${journalSize} entries, epoch ${epochs.value.open.epoch} open`);
    output.heading("Sums, OPEN");
    const { receipts, stages, ...sums } = totals.value;
    output.table([
      { receipts, ...Object.fromEntries(Object.entries(sums).map(([k, v]) => [k, formatOpen(BigInt(v))])) },
    ]);
    if (stages !== undefined)
      output.table([Object.fromEntries(Object.entries(stages).map(([k, v]) => [k, formatOpen(BigInt(v))]))]);
    output.heading("Rhythm");
    const { lastMinute, lastHour, lastDay } = rhythm.value;
    output.table(
      Object.entries({ minute: lastMinute, hour: lastHour, day: lastDay }).map(([last, beat]) => ({
        ...{ last, executions: beat.executions, compensations: beat.compensations },
        ...{ distributions: beat.distributions, OPEN: formatOpen(BigInt(beat.distributed)) },
      })),
    );
    output.heading("Pressure");
    const { waiting, inFlight, unposted, holds, waitMs } = pressure.value;
    output.table([
      {
        waiting,
        "in flight": inFlight,
        unposted,
        holds: holds.count,
        "held OPEN": formatOpen(BigInt(holds.total)),
        "p95 wait ms": waitMs.p95,
      },
    ]);
    const known = datanets.ok ? datanets.value.data : [];
    output.heading("Served");
    output.table([
      ...models.value.data.map(({ name, datanets: of }) => ({ what: "model", name, of })),
      ...known.map(({ name, records }) => ({ what: "datanet", name, of: counted(records, "record") })),
      ...operators.value.data.map(({ name, state, models: of }) => ({ what: `operator, ${state}`, name, of })),
    ]);
    return ok({
      ...{ url, health: health.value, totals: totals.value, rhythm: rhythm.value, pressure: pressure.value },
      ...{ epochs: epochs.value, models: models.value.data, operators: operators.value.data, datanets: known },
    });
  },
});
