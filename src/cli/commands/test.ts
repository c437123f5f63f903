import { z } from "zod";
import { ok, refuse } from "../../core/result.ts";
import { accountSchema, balanceSchema, newKeySchema } from "../../protocol/accounts.ts";
import { type moveClockBody, testClockSchema, triggerBody, triggeredSchema } from "../../protocol/testWorld.ts";
import { type CliCommand, command } from "./command.ts";
import { flag, wholeNumber, wholeText } from "./inputs.ts";

/** What a test account may spend: 1,000 OPEN of play money. */
const CREDIT_NANO = 1_000_000_000_000;

const key = command({
  path: "test key",
  summary: "A key of the test world, with an account and 1,000 OPEN of play money; of its owner with --admin",
  arguments: [["[name]", "what it is for (default test)"]],
  options: [["--admin", "the test world's owner instead: for statements, epochs, payouts, webhooks"]],
  examples: ["openledger test key shop", "openledger statement issue 2027-01 --key $(openledger test key --admin)"],
  input: z.object({ name: wholeText.max(120).default("test"), admin: flag }),
  run: async ({ name, admin }, { client: open, output }) => {
    const client = await open("test");
    if (!client.ok) return client;
    const { key: owner } = client.value;
    if (owner === undefined)
      return refuse("not_found", "this data folder has no test world", {
        hint: "start one with: openledger up --test",
      });
    if (admin) {
      output.line(owner);
      return ok({ secret: owner });
    }
    const account = await client.value.post("/api/accounts", { name }, accountSchema);
    if (!account.ok) return account;
    const { id } = account.value;
    const grant = { amount: CREDIT_NANO, key: "play money", note: "" };
    const credited = await client.value.post(`/api/accounts/${id}/credit`, grant, balanceSchema);
    if (!credited.ok) return credited;
    const made = await client.value.post("/api/keys", { account: id, name }, newKeySchema);
    if (made.ok) output.line(made.value.secret);
    return made;
  },
});

const clock = command({
  path: "test clock",
  summary: "What time it is in the test world; with --days, --hours or --to it is moved forward",
  options: [
    ["--days <count>", "so many days on"],
    ["--hours <count>", "so many hours on"],
    ["--to <time>", "to this time, as 2027-02-01T00:00:00Z"],
  ],
  examples: [
    "openledger test clock",
    "openledger test clock --days 31",
    "openledger test clock --to 2027-02-01T00:00:00Z",
  ],
  input: z.object({
    ...{ days: wholeNumber(1, 400).optional(), hours: wholeNumber(1, 9_600).optional() },
    to: z.iso.datetime({ offset: true, error: "must be a time as 2027-02-01T00:00:00Z" }).optional(),
  }),
  run: async ({ days, hours, to }, { client: open, output }) => {
    if (to !== undefined && (days ?? hours) !== undefined)
      return refuse("invalid_request", "the clock is moved by days and hours, or to a time", { field: "to" });
    const client = await open("test");
    if (!client.ok) return client;
    const advanceMs = ((days ?? 0) * 24 + (hours ?? 0)) * 3_600_000;
    const body: z.infer<typeof moveClockBody> | undefined =
      to !== undefined ? { to } : advanceMs > 0 ? { advanceMs } : undefined;
    const path = "/api/test/clock";
    const found = await (body === undefined
      ? client.value.get(path, testClockSchema)
      : client.value.post(path, body, testClockSchema));
    if (found.ok) output.line(found.value.now);
    return found;
  },
});

const event = command({
  path: "test event",
  summary: "Let something happen in the test world, so that its event is sent",
  arguments: [["<type>", "executed, compensated, distributed, settled, claimed, corrected, refused"]],
  examples: ["openledger test event corrected", "openledger test event claimed --key ol_test_…"],
  input: z.object({ type: triggerBody.shape.type }),
  run: async ({ type }, { client: open, output }) => {
    const client = await open("test");
    if (!client.ok) return client;
    const done = await client.value.post("/api/test/events", { type }, triggeredSchema);
    if (done.ok) {
      const { receipt, epoch, payout } = done.value;
      const said = [
        receipt === undefined ? [] : [`receipt ${receipt}`],
        epoch === undefined ? [] : [`epoch ${epoch}`],
        payout === undefined ? [] : [`payout ${payout}`],
      ];
      output.line([`${type} happened`, ...said.flat()].join(", "));
    }
    return done;
  },
});

export const testCommands: readonly CliCommand[] = [key, clock, event];
